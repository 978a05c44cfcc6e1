//! Logs in files: a new file when one is large or old, the oldest deleted.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use time::OffsetDateTime;

use super::sink::Sink;

/// When a file is full, and how many full ones stay.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rotation {
    pub(super) bytes: u64,
    pub(super) age: Duration,
    pub(super) keep: usize,
}

/// `FOLDER/NAME.log`, and `FOLDER/NAME-TIME.log` for those that are full.
pub(super) struct LogFile {
    folder: PathBuf,
    name: &'static str,
    rotation: Rotation,
    open: Option<Open>,
}

struct Open {
    file: File,
    bytes: u64,
    since: SystemTime,
}

impl LogFile {
    /// Goes on with the file that is there, or begins one.
    ///
    /// # Errors
    /// The folder can't be made or written to.
    pub(super) fn open(folder: PathBuf, name: &'static str, rotation: Rotation) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        let mut log = LogFile { folder, name, rotation, open: None };
        log.open = Some(log.append(SystemTime::now())?);
        Ok(log)
    }

    fn current(&self) -> PathBuf {
        self.folder.join(format!("{}.log", self.name))
    }

    fn append(&self, now: SystemTime) -> io::Result<Open> {
        let file = OpenOptions::new().create(true).append(true).open(self.current())?;
        let about = file.metadata()?;
        // Not every file system keeps when a file was made.
        let since = if about.len() == 0 { now } else { about.created().unwrap_or(now) };
        Ok(Open { file, bytes: about.len(), since })
    }

    fn try_write(&mut self, now: SystemTime, line: &[u8]) -> io::Result<()> {
        let full = |open: &Open| {
            let age = now.duration_since(open.since).unwrap_or_default();
            open.bytes > 0 && (open.bytes + line.len() as u64 > self.rotation.bytes || age >= self.rotation.age)
        };
        if self.open.as_ref().is_some_and(full) {
            self.open = None;
            self.rotate(now)?;
        }
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                let open = self.append(now)?;
                self.open.insert(open)
            }
        };
        write_whole(&open.file, line)?;
        open.bytes += line.len() as u64;
        Ok(())
    }

    fn rotate(&self, now: SystemTime) -> io::Result<()> {
        let at = OffsetDateTime::from(now);
        let stamp = format!(
            "{:04}{:02}{:02}T{:02}{:02}{:02}.{:03}Z",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second(),
            at.millisecond()
        );
        fs::rename(self.current(), self.folder.join(format!("{}-{stamp}.log", self.name)))?;
        let mut full = self.full_files()?;
        full.sort();
        full.iter().rev().skip(self.rotation.keep).try_for_each(fs::remove_file)
    }

    /// Those that are full; their names sort by time.
    fn full_files(&self) -> io::Result<Vec<PathBuf>> {
        let ours = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            let stamp = name.and_then(|name| name.strip_prefix(self.name)?.strip_prefix('-')?.strip_suffix(".log"));
            stamp.is_some_and(|stamp| stamp.starts_with(|first: char| first.is_ascii_digit()))
        };
        let entries = fs::read_dir(&self.folder)?.filter_map(|entry| Some(entry.ok()?.path()));
        Ok(entries.filter(ours).collect())
    }
}

/// The whole line or nothing: a volume that gets full takes part of one, which the next must not follow.
fn write_whole(mut file: &File, line: &[u8]) -> io::Result<()> {
    let mut taken = 0;
    while taken < line.len() {
        match file.write(&line[taken..]) {
            Ok(bytes @ 1..) => taken += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            failed => {
                if let Ok(about) = file.metadata() {
                    // Where even that fails, one line is torn.
                    let _ = file.set_len(about.len().saturating_sub(taken as u64));
                }
                return Err(failed.err().unwrap_or_else(|| io::ErrorKind::WriteZero.into()));
            }
        }
    }
    Ok(())
}

impl Sink for LogFile {
    fn write_line(&mut self, now: SystemTime, line: &[u8]) -> io::Result<()> {
        let written = self.try_write(now, line);
        if written.is_err() {
            // Perhaps it isn't in the folder any more.
            self.open = None;
        }
        written
    }

    fn name(&self) -> String {
        self.current().display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::log::sink::Tolerant;

    thread_local! {
        static NOW: Cell<u64> = const { Cell::new(1_763_767_800) };
    }

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(NOW.get())
    }

    fn pass(seconds: u64) {
        NOW.set(NOW.get() + seconds);
    }

    /// A log whose clock stands still, in an empty folder.
    fn log(test: &str, rotation: Rotation) -> Tolerant<LogFile> {
        let folder = std::env::temp_dir().join(format!("shell-log-{test}-{}", std::process::id()));
        let mut file = LogFile::open(folder, "gateway", rotation).unwrap();
        file.open.as_mut().unwrap().since = now();
        let mut log = Tolerant::new(file);
        log.clock = now;
        log
    }

    /// What is in the files, by name.
    fn files(log: &Tolerant<LogFile>) -> Vec<(String, String)> {
        let mut files: Vec<_> = fs::read_dir(&log.sink.folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        files.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
    }

    #[test]
    fn a_file_that_is_large_or_old_is_put_aside_and_the_oldest_go() {
        let mut log = log("rotation", Rotation { bytes: 10, age: Duration::from_secs(3600), keep: 2 });
        fs::write(log.sink.folder.join("gateway-readme.log"), "somebody's").unwrap();
        for line in ["one\n", "two\n", "three\n"] {
            log.write_all(line.as_bytes()).unwrap();
            pass(1);
        }
        let aside = "gateway-20251121T233002.000Z.log".to_owned();
        let expected = |texts: &[(&str, &str)]| {
            let mut all: Vec<_> = texts.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
            all.push(("gateway-readme.log".to_owned(), "somebody's".to_owned()));
            all.sort();
            all
        };
        assert_eq!(files(&log), expected(&[(&aside, "one\ntwo\n"), ("gateway.log", "three\n")]));
        pass(3600);
        log.write_all(b"four\n").unwrap();
        pass(1);
        log.write_all(b"a line that is longer than a file\n").unwrap();
        let all = files(&log);
        assert_eq!(all.len(), 4, "two that are full, the one in use, and what isn't ours: {all:?}");
        assert!(!all.iter().any(|(name, _)| *name == aside), "{all:?}");
        assert!(all.iter().any(|(_, text)| text == "three\n") && all.iter().any(|(_, text)| text == "four\n"));
        fs::remove_dir_all(&log.sink.folder).unwrap();
    }

    #[test]
    fn a_program_that_starts_again_goes_on_in_the_same_file() {
        let rotation = Rotation { bytes: 100, age: Duration::from_secs(3600), keep: 2 };
        let mut first = log("again", rotation);
        first.write_all(b"one\n").unwrap();
        let mut second = log("again", rotation);
        second.write_all(b"two\n").unwrap();
        assert_eq!(files(&second), [("gateway.log".to_owned(), "one\ntwo\n".to_owned())]);
        fs::remove_dir_all(&second.sink.folder).unwrap();
    }

    #[test]
    fn a_folder_that_is_gone_loses_lines_and_nothing_else() {
        static LOST: AtomicU64 = AtomicU64::new(0);
        let mut log = log("gone", Rotation { bytes: 10, age: Duration::from_secs(3600), keep: 2 });
        log.lost = &LOST;
        log.write_all(b"before\n").unwrap();
        fs::remove_dir_all(&log.sink.folder).unwrap();
        for line in ["rotates\n", "is lost too\n"] {
            log.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(LOST.load(Ordering::Relaxed), 2);
        fs::create_dir_all(&log.sink.folder).unwrap();
        pass(1);
        log.write_all(b"after\n").unwrap();
        assert_eq!(files(&log), [("gateway.log".to_owned(), "after\n".to_owned())]);
        fs::remove_dir_all(&log.sink.folder).unwrap();
        assert!(LogFile::open("/proc/no-such-folder".into(), "gateway", log.sink.rotation).is_err());
    }
}
