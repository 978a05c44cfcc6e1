//! File descriptors: as many as the system gives, and how many are missing for what is configured.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for logs, listeners, epoll sets and the like.
const OVERHEAD: u64 = 128;

/// Descriptors that a setting allows to be used.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    /// At most so many.
    pub files: u64,
    /// What for.
    pub purpose: &'static str,
    /// The key that limits them.
    pub setting: &'static str,
}

/// Raises the soft limit of open files to the hard limit; returns what is allowed now.
pub fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    // Raising up to the hard limit is always permitted.
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        tracing::warn!(%error, "the limit of open files couldn't be raised");
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Says what is needed in all where that is more than what is `available`.
pub fn shortage(needs: &[Need], available: u64) -> Option<String> {
    let needed = needs.iter().fold(OVERHEAD, |sum, need| sum.saturating_add(need.files));
    if available >= needed {
        return None;
    }
    let parts: String = needs.iter().map(|need| format!("{} for {}, ", need.files, need.purpose)).collect();
    let settings: Vec<&str> = needs.iter().map(|need| need.setting).collect();
    let settings = match settings.as_slice() {
        [others @ .., last] if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        settings => settings.concat(),
    };
    Some(format!(
        "{needed} open files may be needed ({parts}{OVERHEAD} others), but only {available} are allowed; raise the hard \
         limit (ulimit -Hn, LimitNOFILE=) or lower {settings}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shortage_names_each_need_and_its_setting() {
        let needs = [
            Need { files: 200, purpose: "RTP", setting: "limits.calls" },
            Need { files: 50, purpose: "http.max_connections", setting: "http.max_connections" },
        ];
        assert_eq!(shortage(&needs, 250 + OVERHEAD), None);
        assert_eq!(
            shortage(&needs, 300).unwrap(),
            "378 open files may be needed (200 for RTP, 50 for http.max_connections, 128 others), but only 300 are \
             allowed; raise the hard limit (ulimit -Hn, LimitNOFILE=) or lower limits.calls or http.max_connections"
        );
        assert!(shortage(&[Need { files: u64::MAX, ..needs[0] }], 300).unwrap().ends_with("or lower limits.calls"));
    }
}
