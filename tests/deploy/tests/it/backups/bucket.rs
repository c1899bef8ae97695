//! The second repository, in an S3 bucket: Ceph's, over TLS. The configuration is that of `deploy/backups`, with the lines of `repo2` taken in.

use std::{fs, path::Path, process::Command, thread::sleep, time::Duration};

use deploy::{Machine, Needed, deploy, have};
use stack::{
    drill::Drill,
    keys::{Authority, ExtendedKeyUsagePurpose},
    rgw::Rgw,
    toolchain::{
        Toolchain,
        ceph::{Generation, ceph},
        rclone,
    },
};

use super::site::Site;

/// Who may do everything at the bucket, and what the VPS has.
const OWNER: (&str, &str) = ("BACKUPSOWNER00000001", "a0owner0of0the0bucket0of0backups0in0tests");
const VPS: (&str, &str) = ("BACKUPSVPS0000000001", "a0key0that0can0not0delete0any0old0version");
const BUCKET: &str = "makenotwork-backups";
/// What deploy/backups/pgbackrest.conf says. Here another host stands in for it, whose name pgBackRest then wants in the certificate.
const ENDPOINT: &str = "s3.example.net";
/// Asks an S3 server something, signed by Signature Version 4: ADDRESS ID SECRET METHOD TARGET BODY.
const ASK: &str = r"
import datetime, hashlib, hmac, http.client, sys
address, key, secret, method, target, body = sys.argv[1:]
path, _, query = target.partition('?')
now = datetime.datetime.utcnow().strftime('%Y%m%dT%H%M%SZ')
hashed = hashlib.sha256(body.encode()).hexdigest()
headers = {'host': address, 'x-amz-content-sha256': hashed, 'x-amz-date': now}
names = ';'.join(headers)
fields = ''.join(f'{name}:{value}\n' for name, value in headers.items())
asked = '\n'.join([method, path, query, fields, names, hashed])
scope = f'{now[:8]}/eu-1/s3/aws4_request'
signed = '\n'.join(['AWS4-HMAC-SHA256', now, scope, hashlib.sha256(asked.encode()).hexdigest()])
derived = ('AWS4' + secret).encode()
for part in scope.split('/'): derived = hmac.new(derived, part.encode(), hashlib.sha256).digest()
signature = hmac.new(derived, signed.encode(), hashlib.sha256).hexdigest()
headers['authorization'] = f'AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={names}, Signature={signature}'
connection = http.client.HTTPConnection(address, timeout=60)
connection.request(method, target, body.encode(), headers)
answer = connection.getresponse()
print(answer.status, answer.read().decode())
";

/// Asks the bucket something, signed by one of the keys. Gives the status, and what it says.
fn ask(rgw: &Rgw, key: (&str, &str), method: &str, target: &str, body: &str) -> (String, String) {
    let target = format!("/{BUCKET}{target}");
    let arguments = [&rgw.address().to_string(), key.0, key.1, method, &target, body];
    let output = Command::new("python3").args(["-W", "ignore", "-c", ASK]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let (status, said) = said.split_once(' ').unwrap();
    (status.to_owned(), said.to_owned())
}

/// The lines of docs/backups.md that begin so, in the part with this heading.
fn lines_of(heading: &str, begin: &str) -> Vec<String> {
    let page = fs::read_to_string(deploy().join("../docs/backups.md")).unwrap();
    let (_, part) = page.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no {heading}"));
    let part = part.split("\n## ").next().unwrap().split("\n### ").next().unwrap();
    part.lines().filter(|line| line.starts_with(begin)).map(str::to_owned).collect()
}

/// What the key on the VPS may not do.
fn policy() -> String {
    let policy = fs::read_to_string(deploy().join("backups/bucket-policy.json")).unwrap();
    assert!(
        policy.contains(&format!("\"arn:aws:s3:::{BUCKET}/*\"")) && policy.contains(":user/backups:vps\""),
        "{policy}"
    );
    policy
}

/// A bucket with versions, whose key on the VPS can't delete any: by the page's own commands.
fn made(rgw: &Rgw) {
    have(&[Needed { program: "curl", package: "curl" }]);
    rgw.user("backups", OWNER).unwrap();
    rgw.key_of("backups", "vps", VPS).unwrap();
    let signed = lines_of("## Setting it up", "as=(");
    let lines = [signed, lines_of("## Setting it up", "curl ")].concat();
    assert!(lines.len() == 4 && lines[3].contains("@deploy/backups/bucket-policy.json"), "{lines:?}");
    let mut shell = Command::new("bash");
    shell.args(["-euc", &lines.join("\n")]).current_dir(deploy().join("..")).env_remove("http_proxy");
    shell.env("S3", format!("http://{}/{BUCKET}", rgw.address())).env("OWNER", format!("{}:{}", OWNER.0, OWNER.1));
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&[output.stdout, output.stderr].concat()));
    policy();
    for (target, has) in [("?versioning=", "<Status>Enabled</Status>"), ("?policy=", "s3:DeleteObjectVersion")] {
        let (status, said) = ask(rgw, OWNER, "GET", target, "");
        assert!(status == "200" && said.contains(has), "{target}: {status} {said}");
    }
}

/// The VPS with the change that docs/backups.md says. Where the bucket is found is said by variables.
fn with_bucket(vps: &Machine, rgw: &Rgw, ca: &Path) -> Machine {
    let file = vps.path("etc/pgbackrest/pgbackrest.conf");
    let shipped = fs::read_to_string(&file).unwrap();
    assert!(shipped.contains(&format!("#repo2-s3-bucket={BUCKET}\n#repo2-s3-endpoint={ENDPOINT}\n")), "{shipped}");
    fs::write(&file, shipped.replace("\n#repo2-", "\nrepo2-")).unwrap();
    let secret = vps.path("etc/pgbackrest/conf.d/secret.conf");
    let secrets = fs::read_to_string(&secret).unwrap();
    let more = format!(
        "repo2-s3-key={}\nrepo2-s3-key-secret={}\nrepo2-cipher-pass=another passphrase of this test\n",
        VPS.0, VPS.1
    );
    fs::write(&secret, format!("{secrets}{more}")).unwrap();
    let address = rgw.over_tls().unwrap();
    vps.clone()
        .with("PGBACKREST_REPO2_STORAGE_HOST", "localhost")
        .with("PGBACKREST_REPO2_STORAGE_PORT", address.port().to_string())
        .with("PGBACKREST_REPO2_STORAGE_CA_FILE", ca.display().to_string())
        .with("REPOSITORIES", "1 2")
}

/// Lines of a shell with rclone, for which the bucket's server is `now`, by one of the keys. Whether all went well, and what was said.
fn with_rclone(rgw: &Rgw, key: (&str, &str), lines: &str) -> (bool, String) {
    let program = rclone(&|line| eprintln!("{line}")).unwrap_or_else(|error| panic!("{error}"));
    let folder = program.parent().unwrap().display().to_string();
    let endpoint = format!("http://{}", rgw.address());
    let mut shell = Command::new("bash");
    shell
        .args(["-euc", lines])
        .env_clear()
        .env("PATH", format!("{folder}:/usr/bin:/bin"))
        .env("RCLONE_CONFIG", "/dev/null");
    for (setting, value) in [
        ("TYPE", "s3"),
        ("PROVIDER", "Other"),
        ("REGION", "eu-1"),
        ("ENDPOINT", &endpoint),
        ("ACCESS_KEY_ID", key.0),
        ("SECRET_ACCESS_KEY", key.1),
    ] {
        shell.env(format!("RCLONE_CONFIG_NOW_{setting}"), value);
    }
    let done = shell.output().unwrap();
    (done.status.success(), String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned())
}

/// With the VPS's key: what its key can do, it does.
fn a_thief_deletes_everything(rgw: &Rgw) {
    let (status, list) = ask(rgw, VPS, "GET", "?versions=", "");
    let found = |name: &str| list.split(&format!("<{name}>")).nth(1).and_then(|rest| rest.split('<').next()).unwrap();
    assert_eq!(status, "200", "{list}");
    let one = format!("/{}?versionId={}", found("Key"), found("VersionId"));
    let suspended = "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>";
    let a_day = "<LifecycleConfiguration><Rule><ID>all</ID><Prefix></Prefix><Status>Enabled</Status>\
        <NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration></Rule></LifecycleConfiguration>";
    let anything = policy().replace("\"Deny\"", "\"Allow\"");
    for (method, target, body) in [
        ("DELETE", one.as_str(), ""),
        ("PUT", "?versioning=", suspended),
        ("PUT", "?lifecycle=", a_day),
        ("PUT", "?policy=", &anything),
        ("DELETE", "?policy=", ""),
    ] {
        let (status, said) = ask(rgw, VPS, method, target, body);
        assert_eq!(status, "403", "{method} {target}: {said}");
    }
    let (all, said) = with_rclone(rgw, VPS, &format!("rclone delete --fast-list --checkers 32 now:{BUCKET}"));
    assert!(all, "{said}");
    let (status, list) = ask(rgw, OWNER, "GET", "?list-type=2", "");
    assert!(status == "200" && !list.contains("<Key>"), "{list}");
    // And puts something in the place of what pgBackRest reads first.
    let (status, said) = ask(rgw, VPS, "PUT", &format!("/{INFO}"), "nothing for you");
    assert_eq!(status, "200", "{said}");
}

/// What pgBackRest reads first.
const INFO: &str = "pgbackrest/backup/main/backup.info";

/// As docs/backups.md has it, with the owner's key: the bucket is as it was at a moment.
fn as_it_was(rgw: &Rgw, moment: &str) {
    let lines = lines_of("### From a bucket that a thief has emptied", "rclone ");
    assert!(lines.len() == 2 && lines.iter().all(|line| line.contains("2026-11-28T14:05:00Z")), "{lines:?}");
    let (all, said) = with_rclone(rgw, OWNER, &lines.join("\n").replace("2026-11-28T14:05:00Z", moment));
    assert!(all && said.contains(" 0 differences found"), "{said}");
}

#[test]
fn from_a_bucket_alone() {
    let mut drill = Drill::begin("bucket", "cargo test -p deploy --test it -- from_a_bucket_alone --nocapture");
    let site = Site::new();
    drill.done("a VPS with PostgreSQL, two databases and the first repository");
    have(&[Needed { program: "python3", package: "python3" }]);
    let ceph = match ceph(&Toolchain::workspace(), Generation::Old, &|line| eprintln!("{line}")) {
        Ok(ceph) => ceph,
        Err(error) if std::env::var_os("CI").is_none() => {
            eprintln!("\n!!! SKIPPED, NOTHING IS TESTED at a bucket: {error}\n");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let version = ceph.version().to_owned();
    let authority = Authority::new("of the storage").unwrap();
    let ca = site.vps.path("storage-ca.pem");
    fs::write(&ca, &authority.pem).unwrap();
    let rgw = Rgw::start_over_tls(ceph, authority.issue(&["localhost"], ExtendedKeyUsagePurpose::ServerAuth).unwrap());
    let rgw = rgw.unwrap_or_else(|error| panic!("{error}"));
    made(&rgw);
    drill.done(&format!("Ceph {version} over TLS, a bucket with versions, a key that can't delete any"));

    // PostgreSQL hands its environment to archive_command, and ends when all WAL is archived.
    site.vps.bash("pg_ctl -D data -w -s -m fast stop");
    let vps = with_bucket(&site.vps, &rgw, &ca);
    vps.bash("pg_ctl -D data -w -s -l postgresql.log start");
    vps.bash("pgbackrest --stanza=main stanza-create && pgbackrest --stanza=main check");
    drill.done("the lines of repo2; stanza-create and check: WAL is archived into both");
    vps.bash("reported backup 108000 backup full");
    let info = "pgbackrest --stanza=main --repo=2 info --output=json | jq -r '.[0].backup[] | .type + \" \" + (.info.size | tostring)'";
    assert!(vps.bash(info).starts_with("full "), "{}", vps.bash(info));
    drill.done("a full backup into each repository");
    // After the backup: it is in the WAL only.
    vps.bash("psql -Xq -d makenotwork -c \"insert into users select n, 'later' from generate_series(5001, 5500) n\"");
    let users = "psql -XqAt -d makenotwork -c 'select count(*), md5(string_agg(name, $$,$$ order by id)) from users'";
    let before = vps.bash(users);
    assert!(before.starts_with("5500|"), "{before}");
    vps.bash("pgbackrest --stanza=main check");
    drill.done("500 rows more; their WAL is in the bucket");

    vps.bash("pg_ctl -D data -w -s -m immediate stop; rm -rf data var/backups/site spool/*");
    drill.done("the VPS is lost: no database, no first repository");
    // A second apart from what was before, and from what comes: versions have times of whole seconds.
    sleep(Duration::from_secs(1));
    let moment = vps.bash("date -u +%Y-%m-%dT%H:%M:%SZ");
    sleep(Duration::from_secs(1));
    a_thief_deletes_everything(&rgw);
    let left = vps.try_bash(info);
    assert!(!left.stdout.contains("full"), "{}", left.said);
    drill.done(
        "a thief with the VPS's key deletes every object, and writes over one; no version, rule or policy gives way",
    );
    as_it_was(&rgw, moment.trim());
    drill.done("the owner, by rclone --s3-version-at: every object is as it was");
    // As docs/backups.md has it for a new machine.
    vps.bash("mkdir -p var/backups/site/pgbackrest var/backups/site/dumps; mkdir -m 0700 data");
    vps.bash("pgbackrest --stanza=main --repo=2 restore");
    drill.done("pgbackrest --repo=2 restore");
    // Before WAL comes that the first repository could not take.
    vps.bash("pgbackrest --stanza=main --no-online stanza-create");
    drill.done("stanza-create for the first repository, which is empty");
    vps.bash(
        "pg_ctl -D data -w -s -l postgresql.log start
         until [ \"$(psql -XqAt -d postgres -c 'select pg_is_in_recovery()')\" = f ]; do sleep 0.1; done",
    );
    assert_eq!(vps.bash(users), before);
    drill.done("all WAL is replayed; every row is there");
    vps.bash("backup full");
    assert_eq!(vps.bash(info).lines().count(), 2);
    assert_eq!(vps.bash(&info.replace("repo=2", "repo=1")).lines().count(), 1);
    drill.done("a full backup into both");
    drill.end();
}
