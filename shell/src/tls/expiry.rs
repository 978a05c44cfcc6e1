//! When certificates run out, and who is told.

use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::TlsSettings;
use crate::metrics::{Exposition, Kind};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Who renews by themselves do it earlier.
const WARN_BEFORE: Duration = Duration::from_secs(14 * DAY.as_secs());

/// When the first of a chain's certificates to run out does: clients may refuse the chain from then on. Those that can't be
/// read don't count; none when none can.
pub(super) fn end_of(chain: &[CertificateDer<'_>]) -> Option<SystemTime> {
    let end = |der: &CertificateDer<'_>| {
        let certificate = Certificate::from_der(der).ok()?;
        let after_epoch = certificate.tbs_certificate().validity().not_after.to_unix_duration();
        SystemTime::UNIX_EPOCH.checked_add(after_epoch)
    };
    chain.iter().filter_map(end).min()
}

/// What there is to say of a certificate that ends then, if anything.
fn warning(ends: SystemTime, now: SystemTime) -> Option<String> {
    match ends.duration_since(now) {
        Ok(left) if left > WARN_BEFORE => None,
        Ok(left) => Some(format!("the certificate runs out in {} days", left.as_secs() / DAY.as_secs())),
        Err(_) => Some("the certificate has run out".to_owned()),
    }
}

/// Certificates that a program shows to clients.
#[derive(Clone, Debug, Default)]
pub struct CertificatesInUse(Vec<TlsSettings>);

impl CertificatesInUse {
    /// Adds one.
    pub fn add(&mut self, settings: &TlsSettings) {
        self.0.push(settings.clone());
    }

    /// What there is to say of them, for `/ready`.
    pub fn notes(&self) -> Vec<String> {
        let now = SystemTime::now();
        let note = |settings: &TlsSettings| {
            Some(format!("{}: {}", settings.purpose.section, warning(settings.ends_to_tell()?, now)?))
        };
        self.0.iter().filter_map(note).collect()
    }

    /// When each of them runs out, as a gauge.
    pub fn write(&self, page: &mut Exposition, name: &str) {
        let sample = |settings: &TlsSettings| {
            let after_epoch = settings.ends_to_tell()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
            Some((vec![("section", settings.purpose.section)], after_epoch.as_secs()))
        };
        let samples = self.0.iter().filter_map(sample);
        let help = "When a certificate in use, or one of its chain, runs out; by the section that names it.";
        page.labelled(Kind::Gauge, name, help, samples);
    }
}

/// Remembers when somebody was warned last.
#[derive(Debug, Default)]
pub(super) struct Reminder(Option<(SystemTime, SystemTime)>);

impl Reminder {
    /// Logs a warning where there is something to say of the certificate that ends then: at once for one that is new, and
    /// every day.
    pub(super) fn remind(&mut self, section: &str, ends: Option<SystemTime>) {
        let now = SystemTime::now();
        let Some(ends) = ends else { return };
        let is_due = match self.0 {
            Some((of, last)) => of != ends || now.duration_since(last).is_ok_and(|passed| passed >= DAY),
            None => true,
        };
        if is_due {
            self.0 = Some((ends, now));
            if let Some(warning) = warning(ends, now) {
                tracing::warn!(section, "{warning}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_weeks_before_the_end_somebody_is_told() {
        let ends = SystemTime::UNIX_EPOCH + 1000 * DAY;
        assert_eq!(warning(ends, ends - 15 * DAY), None);
        assert_eq!(warning(ends, ends - 36 * DAY / 10).as_deref(), Some("the certificate runs out in 3 days"));
        assert_eq!(warning(ends, ends + DAY).as_deref(), Some("the certificate has run out"));
    }
}
