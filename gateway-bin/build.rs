//! Builds the softphone page (`webphone/`) when it is older than its sources and embeds it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;
use std::{env, fs};

/// What the page's build makes, and under which type each file is served.
const FILES: [(&str, &str); 5] = [
    ("index.html", "text/html; charset=utf-8"),
    ("app.js", "text/javascript; charset=utf-8"),
    ("app.css", "text/css; charset=utf-8"),
    ("icon.svg", "image/svg+xml"),
    ("sdk.js", "text/javascript; charset=utf-8"),
];

/// What the page is built from, besides `src/`.
const INPUTS: [&str; 4] = ["package.json", "package-lock.json", "tsconfig.json", "scripts"];

fn main() {
    let manifest = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let webphone = manifest.parent().expect("the package lies in the workspace").join("webphone");
    let dist = webphone.join("dist");
    // Not `dist`: what this script writes would call for it again.
    for input in INPUTS.iter().chain(&["src"]) {
        println!("cargo::rerun-if-changed={}", webphone.join(input).display());
    }
    if is_stale(&webphone, &dist)
        && let Err(problem) = build(&webphone)
    {
        eprintln!("\nThe softphone page in {} can't be built: {problem}\n", webphone.display());
        std::process::exit(1);
    }
    embed(&dist, &PathBuf::from(env::var("OUT_DIR").expect("cargo sets it")));
}

/// Copies the page to `out`, where nobody else changes or removes it, and lists it for `page.rs`.
fn embed(dist: &Path, out: &Path) {
    let entry = |(name, content_type): &(&str, &str)| {
        let file = out.join(name);
        // Written only where it differs: a new time alone would compile the package again.
        let page = fs::read(dist.join(name)).expect("the page's build made it");
        if fs::read(&file).ok().as_ref() != Some(&page) {
            fs::write(&file, page).expect("OUT_DIR can be written");
        }
        format!("    Asset {{ name: {name:?}, content_type: {content_type:?}, bytes: include_bytes!({file:?}) }},\n")
    };
    let entries: String = FILES.iter().map(entry).collect();
    let list = format!("pub(super) static ASSETS: &[Asset] = &[\n{entries}];\n");
    fs::write(out.join("assets.rs"), list).expect("OUT_DIR can be written");
}

fn is_stale(webphone: &Path, dist: &Path) -> bool {
    let built = FILES.iter().map(|(name, _)| modified(&dist.join(name))).min().flatten();
    let Some(built) = built else { return true };
    INPUTS.iter().chain(&["src"]).filter_map(|input| newest(&webphone.join(input))).any(|changed| changed > built)
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

fn newest(path: &Path) -> Option<SystemTime> {
    let below = fs::read_dir(path).ok().into_iter().flatten().flatten().filter_map(|entry| newest(&entry.path()));
    below.chain(modified(path).filter(|_| path.is_file())).max()
}

fn build(webphone: &Path) -> Result<(), String> {
    let install = modified(&webphone.join("node_modules/.package-lock.json"));
    if install.is_none() || install < modified(&webphone.join("package-lock.json")) {
        npm(webphone, &["ci", "--no-audit", "--no-fund"])?;
    }
    npm(webphone, &["run", "build"])?;
    match FILES.iter().find(|(name, _)| !webphone.join("dist").join(name).is_file()) {
        Some((name, _)) => Err(format!("its build made no dist/{name}")),
        None => Ok(()),
    }
}

fn npm(directory: &Path, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("npm").args(arguments).current_dir(directory).output().map_err(|error| {
        format!("npm doesn't start ({error}); install Node.js 18 or newer, which brings npm, and build again")
    })?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    Err(format!("`npm {}` failed:\n{}", arguments.join(" "), String::from_utf8_lossy(&text)))
}
