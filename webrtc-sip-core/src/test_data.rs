//! Test inputs that live beside the project and not in it.

use std::path::{Path, PathBuf};

/// The path of a shared test file or folder. None, with a note, when the shared data isn't there; in CI that fails.
pub(crate) fn path(relative: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/testdata");
    if root.is_dir() {
        return Some(root.join(relative));
    }
    assert!(std::env::var_os("CI").is_none(), "CI needs the shared test data");
    println!("skipped: no shared test data");
    None
}
