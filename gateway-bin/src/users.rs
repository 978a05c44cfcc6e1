//! The configured users and their passwords.

use std::collections::HashMap;

use argon2::password_hash::PasswordHash;
use argon2::{Argon2, PasswordVerifier};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use webrtc_sip_core::gateway::{Identity, IdentityError, SipCredentials};

use crate::config::{Secret, User};

/// Users by name.
#[derive(Debug, Default)]
pub(crate) struct Users(HashMap<String, User>);

impl Users {
    /// From the configuration.
    pub(crate) fn new(users: &[User]) -> Self {
        Users(users.iter().map(|user| (user.name.clone(), user.clone())).collect())
    }

    /// Whether this is who they say they are. May take tens of milliseconds (argon2id): not for the control task.
    pub(crate) fn check(&self, name: &str, password: &str) -> Result<Identity, IdentityError> {
        let Some(user) = self.0.get(name) else {
            // The same work as for a known user, so that the time doesn't tell names apart.
            let decoy = self.0.values().find(|user| user.password_hash.is_some()).or_else(|| self.0.values().next());
            let _ = decoy.map(|user| matches(user, password));
            return Err(IdentityError::Refused);
        };
        if matches(user, password) { Ok(identity(user)) } else { Err(IdentityError::Refused) }
    }
}

fn matches(user: &User, typed: &str) -> bool {
    match (&user.password, &user.password_hash) {
        (Some(expected), _) => equal(expected, typed),
        (None, Some(hash)) => matches_hash(hash, typed),
        (None, None) => false,
    }
}

fn identity(user: &User) -> Identity {
    let sip_credentials = user.sip_password.as_ref().map(|password| SipCredentials {
        user: user.sip_user.clone().unwrap_or_else(|| user.name.clone()),
        password: password.reveal().to_owned(),
    });
    Identity { user: user.name.clone(), display_name: user.display_name.clone(), sip_credentials }
}

/// Compares digests, so that neither the length nor a common prefix shows in the time.
fn equal(expected: &Secret, typed: &str) -> bool {
    let expected = digest(&SHA256, expected.reveal().as_bytes());
    let typed = digest(&SHA256, typed.as_bytes());
    verify_slices_are_equal(expected.as_ref(), typed.as_ref()).is_ok()
}

fn matches_hash(hash: &Secret, typed: &str) -> bool {
    PasswordHash::new(hash.reveal())
        .is_ok_and(|hash| Argon2::default().verify_password(typed.as_bytes(), &hash).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, password: Option<&str>, password_hash: Option<&str>) -> User {
        User {
            name: name.to_owned(),
            password: password.map(Secret::from),
            password_hash: password_hash.map(Secret::from),
            display_name: Some("Somebody".to_owned()),
            sip_user: None,
            sip_password: Some(Secret::from("sip")),
        }
    }

    #[test]
    fn plain_passwords_are_compared_whole() {
        let users = Users::new(&[user("a", Some("correct"), None)]);
        assert_eq!(users.check("a", "correct").unwrap().sip_credentials.unwrap().user, "a");
        for (name, password) in [("a", "correc"), ("a", "correctx"), ("a", ""), ("b", "correct"), ("b", "no such user")]
        {
            assert_eq!(users.check(name, password), Err(IdentityError::Refused));
        }
    }

    #[test]
    fn argon2id_hashes_are_verified() {
        use argon2::password_hash::{PasswordHasher, SaltString};
        let salt = SaltString::from_b64("c29tZXNhbHRzb21lc2FsdA").unwrap();
        let hash = Argon2::default().hash_password(b"correct", &salt).unwrap().to_string();
        let users = Users::new(&[user("a", None, Some(&hash))]);
        assert!(users.check("a", "correct").is_ok());
        assert_eq!(users.check("a", "wrong"), Err(IdentityError::Refused));
    }
}
