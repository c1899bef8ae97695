//! What the package says it is made of: CycloneDX by its published schema, and the crates that cargo builds the gateway from, no more and no less.

use std::collections::{BTreeMap, BTreeSet};
use std::{fs, path::Path, process::Command};

use boon::{Compiler, Schemas};
use deploy::{Needed, deploy, have};
use serde_json::Value;

const TARGETS: [(&str, &str); 2] = [("amd64", "x86_64-unknown-linux-gnu"), ("arm64", "aarch64-unknown-linux-gnu")];

fn sbom(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(deploy().join("package/sbom")).args(arguments).output().unwrap();
    let said = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(said(output.stdout)) } else { Err(said(output.stderr)) }
}

/// The schema of CycloneDX 1.5, as its authors publish it (Apache-2.0), in `tests/deploy/schema`.
#[track_caller]
fn assert_cyclonedx(document: &Value) {
    const AT: &str = "http://cyclonedx.org/schema/";
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    for (name, file) in [
        ("bom-1.5.schema.json", "bom-1.5.schema.json"),
        ("spdx.SNAPSHOT.schema.json", "spdx.schema.json"),
        ("jsf-0.82.SNAPSHOT.schema.json", "jsf-0.82.schema.json"),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema").join(file);
        let mut schema: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        // The authors' copies call each other by another name than their own.
        schema.as_object_mut().unwrap().remove("$id");
        compiler.add_resource(&format!("{AT}{name}"), schema).unwrap();
    }
    let index = compiler.compile(&format!("{AT}bom-1.5.schema.json"), &mut schemas).unwrap();
    if let Err(error) = schemas.validate(document, index) {
        panic!("{error:#}");
    }
}

/// `name@version` and licence of each crate that cargo names for a target.
fn tree(target: &str) -> BTreeMap<String, String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "-p", "origin", "-e", "normal", "--prefix", "none", "--format", "{p}|{l}|"])
        .args(["--target", target])
        .current_dir(deploy().join(".."))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let crates = text.lines().map(|line| {
        let parts: Vec<_> = line.split('|').collect();
        let (name, rest) = parts[0].split_once(" v").unwrap();
        (format!("{name}@{}", rest.split(' ').next().unwrap()), parts[1].to_owned())
    });
    crates.collect()
}

#[test]
fn it_names_each_crate_and_nothing_else() {
    have(&[Needed { program: "jq", package: "jq" }]);
    for (architecture, target) in TARGETS {
        let text = sbom(&[architecture, "0.1.0+1", "1796000000"]).unwrap();
        assert_eq!(Ok(text.clone()), sbom(&[architecture, "0.1.0+1", "1796000000"]), "the same each time");
        assert!(!text.contains(env!("CARGO_MANIFEST_DIR")), "it tells where it was made");
        let document: Value = serde_json::from_str(&text).unwrap();
        assert_cyclonedx(&document);
        let origin = &document["metadata"]["component"];
        assert_eq!(
            (&origin["version"], &document["metadata"]["timestamp"]),
            (&"0.1.0+1".into(), &"2026-11-30T00:53:20Z".into())
        );

        let mut wanted = tree(target);
        assert!(wanted.len() > 200 && wanted.remove("origin@0.1.0").is_some(), "{wanted:?}");
        let all = document["components"].as_array().unwrap();
        let of = |component: &Value| {
            let reference =
                format!("{}@{}", component["name"].as_str().unwrap(), component["version"].as_str().unwrap());
            (reference, component["licenses"][0]["expression"].as_str().unwrap().to_owned())
        };
        let found: BTreeMap<_, _> = all.iter().map(of).collect();
        assert_eq!(found.len(), all.len(), "one is there twice");
        let spdx = |licence: String| licence.replace(" / ", " OR ").replace('/', " OR ");
        let wanted: BTreeMap<_, _> = wanted.into_iter().map(|(name, licence)| (name, spdx(licence))).collect();
        assert_eq!(found, wanted);

        // What is from the registry has its checksum there, which is what Cargo.lock holds it to.
        let lock = fs::read_to_string(deploy().join("../Cargo.lock")).unwrap();
        let ours = ["cache", "client", "contract", "edge"];
        for component in all {
            let name = component["name"].as_str().unwrap();
            let checksum = component["hashes"][0]["content"].as_str();
            assert_eq!(checksum.is_none(), ours.contains(&name), "{component}");
            let version = component["version"].as_str().unwrap();
            let start = lock.find(&format!("name = \"{name}\"\nversion = \"{version}\"\n")).unwrap();
            let package = lock[start..].split("\n\n").next().unwrap();
            assert!(checksum.is_none_or(|sum| package.contains(&format!("checksum = \"{sum}\""))), "{component}");
        }
        // What is only run in the build is said to be so.
        let scope = |name: &str| all.iter().find(|one| one["name"] == name).map(|one| one["scope"].as_str().unwrap());
        assert_eq!([scope("rustls"), scope("syn")], [Some("required"), Some("excluded")]);
        // Who depends on whom: everything that is named is there, and everything is depended on.
        let edges = document["dependencies"].as_array().unwrap();
        let depended = edges.iter().flat_map(|edge| edge["dependsOn"].as_array().unwrap());
        let depended: BTreeSet<_> = depended.map(|name| name.as_str().unwrap()).collect();
        assert_eq!(depended, found.keys().map(String::as_str).collect());
        let edge = edges.iter().find(|edge| edge["ref"] == "edge@0.1.0").unwrap();
        assert!(edge["dependsOn"].as_array().unwrap().iter().any(|name| name == "contract@0.1.0"), "{edge}");
    }
    let wrong = sbom(&["sparc", "1", "1"]).unwrap_err();
    assert_eq!(wrong, "sbom: sparc is no architecture that is built for: write amd64 or arm64\n");
}
