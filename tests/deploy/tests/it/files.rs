//! Every script and every unit in `deploy/`, checked by shellcheck and systemd's own tools.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use deploy::{Needed, deploy, have};

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            all.push(path);
        }
    }
    all.sort();
    all
}

fn units(ends: &[&str]) -> Vec<PathBuf> {
    let all = files(&deploy()).into_iter();
    all.filter(|path| path.extension().is_some_and(|end| ends.iter().any(|it| end == *it))).collect()
}

#[test]
fn scripts_pass_shellcheck() {
    have(&[Needed { program: "shellcheck", package: "shellcheck" }]);
    let ours = [deploy(), Path::new(env!("CARGO_MANIFEST_DIR")).join("boot")];
    let scripts: Vec<_> = ours
        .iter()
        .flat_map(|folder| files(folder))
        .filter(|path| fs::read(path).unwrap().starts_with(b"#!") && path.extension().is_none())
        .collect();
    assert!(scripts.len() >= 6, "{scripts:?}");
    for script in &scripts {
        let text = fs::read_to_string(script).unwrap();
        // dpkg's are run by the system's own shell.
        let careful = if script.ends_with("package/postinst")
            || script.ends_with("package/prerm")
            || script.ends_with("package/postrm")
        {
            text.starts_with("#!/bin/sh\n") && text.contains("\nset -e\n")
        } else {
            text.starts_with("#!/usr/bin/env bash\n") && text.contains("\nset -euo pipefail\n")
        };
        assert!(careful, "{}", script.display());
    }
    let output = Command::new("shellcheck").args(&scripts).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// A server can be made from these files at any vendor's: none of them names one. What names one says so.
#[test]
fn nothing_is_one_vendors() {
    let vendors =
        ["hetzner", "your-objectstorage", "hcloud", "digitalocean", "linode", "vultr", "ovh", "amazonaws", "scaleway"];
    // The site's own configuration, to be adapted, and what it pays.
    let own = ["origin.example.toml", "prices.toml"];
    let of_a_server: Vec<_> = files(&deploy())
        .into_iter()
        .filter(|path| !own.iter().any(|name| path.ends_with(name)) && path.extension().is_none_or(|end| end != "pyc"))
        .collect();
    assert!(of_a_server.len() > 40, "{}", of_a_server.len());
    for path in &of_a_server {
        let text = fs::read_to_string(path).unwrap().to_lowercase();
        let named: Vec<_> = vendors.iter().filter(|vendor| text.contains(**vendor)).collect();
        assert!(named.is_empty(), "{}: {named:?}", path.display());
    }
    let example = fs::read_to_string(deploy().join("origin.example.toml")).unwrap();
    assert!(vendors.iter().any(|vendor| example.contains(vendor)), "they would be found");
}

/// In a root where all that they name exists.
#[test]
fn systemd_takes_the_units() {
    have(&[Needed { program: "systemd-analyze", package: "systemd" }]);
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("etc/systemd/system");
    fs::create_dir_all(&folder).unwrap();
    let units = units(&["service", "socket", "timer"]);
    for unit in &units {
        let text = fs::read_to_string(unit).unwrap();
        for line in text.lines().filter_map(|line| Some(line.strip_prefix("Exec")?.split_once('=')?.1)) {
            let program = line.split(' ').next().unwrap();
            // What has no folder is looked for in the usual ones.
            let program = program.strip_prefix('/').map_or_else(|| format!("usr/bin/{program}"), str::to_owned);
            let program = root.path().join(program);
            fs::create_dir_all(program.parent().unwrap()).unwrap();
            fs::copy("/bin/true", program).unwrap();
        }
        fs::copy(unit, folder.join(unit.file_name().unwrap())).unwrap();
    }
    let system = root.path().join("usr/lib/systemd/system");
    fs::create_dir_all(&system).unwrap();
    let status = Command::new("cp").arg("-a").args(["/lib/systemd/system/."]).arg(&system).status().unwrap();
    assert!(status.success());

    let placed: Vec<_> = units.iter().map(|unit| folder.join(unit.file_name().unwrap())).collect();
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--root"])
        .arg(root.path())
        .args(&placed)
        .env("SYSTEMD_LOG_LEVEL", "warning")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // It also reads the units of the machine's own packages, which are not ours to mend.
    let ours: Vec<_> = said
        .lines()
        .filter(|line| units.iter().any(|unit| line.contains(unit.file_name().unwrap().to_str().unwrap())))
        .collect();
    assert!(output.status.success() && ours.is_empty(), "{said}");
}

/// The exposure that `systemd-analyze security` computes: 0 is none, 10 all.
#[test]
fn services_are_hardened() {
    have(&[Needed { program: "systemd-analyze", package: "systemd" }]);
    for unit in units(&["service"]) {
        let output = Command::new("systemd-analyze")
            .args(["security", "--offline=yes", "--no-pager"])
            .arg(&unit)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let level = said.split("exposure level for ").nth(1).and_then(|rest| rest.split(": ").nth(1));
        let level: f64 = level.and_then(|it| it.split(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("{said}"));
        eprintln!("{level:4.1}  {}", unit.file_name().unwrap().display());
        // Jobs of the night may read what they save; what faces the network is held to less.
        let most = if unit.ends_with("origin.service") || unit.ends_with("app.example.service") { 1.5 } else { 2.0 };
        assert!(level <= most, "{}: {level}\n{said}", unit.display());
    }
}

/// `tests/deploy/drills` runs each that docs/leaving.md names.
#[test]
fn the_drills_are_all_those_of_the_page() {
    let page = fs::read_to_string(deploy().join("../docs/leaving.md")).unwrap();
    let runs = fs::read_to_string(deploy().join("../tests/deploy/drills")).unwrap();
    let filters = |line: &str| -> Vec<String> {
        let after = line.split_once(" -- ").map_or("", |(_, rest)| rest);
        after.split(' ').filter(|word| !word.starts_with('-') && *word != "1").map(str::to_owned).collect()
    };
    let commands = page.lines().filter_map(|line| line.strip_suffix("` |")?.split_once("| `cargo test "));
    let mut count = 0;
    for (_, command) in commands {
        let (target, _) = command.split_once(" -- ").unwrap();
        let line = runs.lines().find(|line| line.starts_with("cargo test ") && line.contains(target));
        let run = filters(line.unwrap_or_else(|| panic!("nothing runs {target}")));
        for wanted in filters(command) {
            assert!(run.iter().any(|filter| wanted.contains(&**filter)), "{target} does not run {wanted}: {run:?}");
            count += 1;
        }
    }
    assert!(count >= 8, "{count}");
}
