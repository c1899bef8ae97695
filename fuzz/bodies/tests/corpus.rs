//! The fuzz targets' bodies over the committed corpus, and over what is cut off and changed of it: a finding of the fuzzer's stays found.

use std::fs;
use std::path::PathBuf;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(target);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    files.map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
}

#[test]
fn the_corpus_holds() {
    for (target, body) in fuzz_bodies::TARGETS {
        let seeds = corpus(target);
        assert!(seeds.len() >= 3, "{target} has too few seeds to begin with");
        for seed in &seeds {
            body(seed);
            for end in 0..seed.len() {
                body(&seed[..end]);
            }
            for at in 0..seed.len() {
                for byte in [0, b'"', b',', b'=', b':', b'\n', b'9', 0xff] {
                    let mut changed = seed.clone();
                    changed[at] = byte;
                    body(&changed);
                }
            }
        }
    }
}

#[test]
fn every_target_can_be_run_by_its_name() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz_targets");
    let mut files: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let mut names: Vec<&str> = fuzz_bodies::TARGETS.iter().map(|(name, _)| *name).collect();
    files.sort_unstable();
    names.sort_unstable();
    assert_eq!(files, names);
    let manifest = fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml")).unwrap();
    for name in names {
        fuzz_bodies::run(name, b"");
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name} is not in Cargo.toml");
    }
}
