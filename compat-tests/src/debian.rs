//! Debian packages, unpacked into a folder instead of installed.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::artefacts::try_succeed;

/// Fetches `packages`, each `name` or `name=version`, and unpacks them into `root`. Deletes what was in `root` before.
///
/// # Errors
/// A package cannot be fetched or unpacked: which one, and the error of the tool.
pub fn unpack(packages: &[String], root: &Path) -> Result<(), String> {
    let archives = root.with_extension("archives");
    for folder in [root, &archives] {
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    try_succeed(Command::new("apt-get").args(["download", "-qq"]).args(packages).current_dir(&archives))?;
    for entry in fs::read_dir(&archives).map_err(|error| error.to_string())? {
        let archive = entry.map_err(|error| error.to_string())?.path();
        try_succeed(Command::new("dpkg").arg("-x").arg(&archive).arg(root))?;
    }
    fs::remove_dir_all(&archives).map_err(|error| format!("{}: {error}", archives.display()))
}

/// The packages that `apt-get install` would install for `packages`, which are included unless they are installed.
///
/// # Errors
/// `apt-get` fails.
pub fn missing(packages: &[&str]) -> Result<Vec<String>, String> {
    let mut simulate = Command::new("apt-get");
    simulate.args(["install", "--simulate", "-qq", "--no-install-recommends"]).args(packages);
    let said = try_succeed(simulate.env("LC_ALL", "C"))?;
    let names = said.lines().filter_map(|line| line.strip_prefix("Inst ")?.split(' ').next());
    Ok(names.map(str::to_owned).collect())
}
