//! Moving from Caddy: its store, made by Debian's Caddy against the same CA, is taken over.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use stack::keys::{Authority, ExtendedKeyUsagePurpose};
use tempfile::TempDir;

use crate::world::{Plan, Visitor, World, binary};

/// A running Caddy; dropped, it is killed.
struct Caddy(Child);

impl Drop for Caddy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Caddy {
    /// Serves `names` where the gateway will, with certificates of the world's CA.
    fn start(world: &World, folder: &Path, names: &[&str]) -> Self {
        let config = format!(
            "{{\nadmin off\nstorage file_system {}\nhttp_port {}\nhttps_port {}\nacme_ca {}\nacme_ca_root {}\n\
             skip_install_trust\n}}\n{} {{\nrespond hello\n}}\n",
            folder.display(),
            world.http.port(),
            world.https.port(),
            world.ca.directory(),
            world.ca.file().display(),
            names.join(", "),
        );
        let file = folder.join("Caddyfile");
        fs::write(&file, config).unwrap();
        let caddy = tokio::task::block_in_place(|| stack::toolchain::caddy(&|line| println!("{line}"))).unwrap();
        let log = fs::File::create(folder.join("log")).unwrap();
        let mut command = Command::new(caddy);
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file).env("HOME", folder);
        command.env_remove("XDG_DATA_HOME").env_remove("XDG_CONFIG_HOME");
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }
}

/// `origin import-caddy`: its exit code and what it says.
fn import(world: &World, folder: &Path) -> (Option<i32>, String) {
    let config = world.configuration();
    let output = Command::new(binary()).arg("import-caddy").arg(folder).arg("--config").arg(config).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_caddy_had_is_served() {
    let mut world = World::still(Plan::default()).await;
    let folder = TempDir::new().unwrap();
    let names = ["creator.example", "shop.creator.example"];
    let caddy = Caddy::start(&world, folder.path(), &names);
    let mut shown = Vec::new();
    for name in names {
        let visitor = world.visitor(name).await;
        let mut tries = 0;
        shown.push(loop {
            match visitor.comes().await {
                Ok(shown) => break shown,
                Err(error) => {
                    tries += 1;
                    let said = || fs::read_to_string(folder.path().join("log")).unwrap();
                    assert!(tries < 300, "Caddy does not serve {name}: {error}\n{}", said());
                    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                }
            }
        });
    }
    drop(caddy);

    let (code, said) = import(&world, folder.path());
    assert_eq!(code, Some(0), "{said}");
    for name in names {
        assert!(said.contains(&format!("{name}: taken over from localhost-")), "{said}");
    }
    assert!(said.ends_with("2 taken over, 0 kept, 0 refused\n"), "{said}");
    let (_, again) = import(&world, &folder.path().join("certificates"));
    assert!(again.ends_with("0 taken over, 2 kept, 0 refused\n"), "{again}");

    let visitors = [world.visitor(names[0]).await, world.visitor(names[1]).await];
    world.ca.down();
    world.serve();
    for (visitor, shown) in visitors.iter().zip(shown) {
        assert_eq!(visitor.comes().await.unwrap(), shown, "the same certificate");
    }
    assert_eq!(world.app.asked().len(), 0);
}

/// Also what is imported while the gateway runs is found, at the name's first handshake.
#[tokio::test(flavor = "multi_thread")]
async fn broken_pairs_are_refused() {
    let world = World::start(Plan::default()).await;
    let folder = TempDir::new().unwrap();
    let authority = Authority::new("of Caddy").unwrap();
    let issue = |name: &str| authority.issue(&[name], ExtendedKeyUsagePurpose::ServerAuth).unwrap();
    let put = |name: &str, cert: Option<&str>, key: Option<&str>| {
        let at = folder.path().join("certificates/ca.example-directory").join(name);
        fs::create_dir_all(&at).unwrap();
        fs::write(at.join(format!("{name}.json")), "{}").unwrap();
        for (ending, text) in [("crt", cert), ("key", key)] {
            if let Some(text) = text {
                fs::write(at.join(format!("{name}.{ending}")), text).unwrap();
            }
        }
    };
    let good = issue("good.example");
    put("good.example", Some(&good.0), Some(&good.1));
    let other = issue("foreign.example");
    put("foreign.example", Some(&other.0), Some(&good.1));
    put("renamed.example", Some(&good.0), Some(&good.1));
    put("no-key.example", Some(&issue("no-key.example").0), None);
    let cut = issue("cut.example");
    put("cut.example", Some(&cut.0[..100]), Some(&cut.1));
    put("wildcard_.creator.example", Some(&good.0), Some(&good.1));
    put("localhost", Some(&good.0), Some(&good.1));

    let (code, said) = import(&world, folder.path());
    assert_eq!(code, Some(1), "{said}");
    let said = said.replace(&folder.path().display().to_string(), "CADDY");
    let said: Vec<String> = said
        .lines()
        .map(|line| match line.split_once(", good until ") {
            Some((line, _)) => line.to_owned(),
            None => line.to_owned(),
        })
        .collect();
    insta::assert_snapshot!(said.join("\n"));
    Visitor::trusting("good.example", world.https).comes().await.unwrap();
    assert_eq!((world.app.asked().len(), world.ca.orders()), (0, 0));
}
