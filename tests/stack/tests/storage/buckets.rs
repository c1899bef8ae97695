//! Buckets as the configuration wants them: `origin buckets`.

use serde_json::json;

use crate::server::{ELSEWHERE, Kind, Lack, Server, now, send};
use origin::storage::Permit;

/// What others may have set on a bucket.
const LIFECYCLE: &str = "<LifecycleConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Rule><ID>tmp</ID><Filter><Prefix>tmp/</Prefix></Filter>\
     <Status>Enabled</Status><Expiration><Days>3</Days></Expiration></Rule></LifecycleConfiguration>";
const CORS: &str = "<CORSConfiguration><CORSRule><ID>partner</ID><AllowedOrigin>https://partner.example</AllowedOrigin>\
     <AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>";

pub(crate) async fn applied_once_is_applied(server: &Server) {
    if server.lacks(Lack::Policy) {
        return;
    }
    let found = server.survey().await;
    assert_eq!((found.changes(), found.differs()), (0, false), "{found}");
    let said = found.to_string();
    assert!(
        said.contains("user-files: bucket user-files\n  as wanted  bucket, acl, versioning, lifecycle, cors, policy\n"),
        "{said}"
    );
    // Three buckets: the third is somebody else's, and the key must not read it either.
    assert!(said.contains("the write-only key of other and user-files reads nothing in 3 bucket(s): tried"), "{said}");
    assert!(said.contains(&format!("of the same project): bucket {ELSEWHERE}\n  as wanted  policy\n")), "{said}");
    // There it may not even write.
    let elsewhere = server.elsewhere(ELSEWHERE);
    let writer = elsewhere.writer.as_ref().expect("a writing key");
    let put = writer.presign(&Permit { method: "PUT", key: "a", query: &[], headers: &[], begins: now(), lasts: 60 });
    send(server.http.put(put).body("x")).await.expect_refusal("a PUT into another bucket");
}

pub(crate) async fn what_others_have_set_stays(server: &Server) {
    if server.lacks(Lack::Policy) {
        return;
    }
    let bucket = &server.other;
    let read = async |what: &'static str| server.owner(bucket, "GET", "", &[(what, "")], Vec::new()).await.text();
    let ours = [read("lifecycle").await, read("cors").await, read("policy").await];
    let mut policy: serde_json::Value = serde_json::from_str(&ours[2]).expect("a policy");
    let reads = json!({"Sid": "Partner", "Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/partner"]},
        "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::other/partner/*"]});
    policy["Statement"] = json!([reads]);
    for (what, text) in [("lifecycle", LIFECYCLE.to_owned()), ("cors", CORS.to_owned()), ("policy", policy.to_string())]
    {
        server.put_setting(bucket, what, &text).await;
    }
    // Ours are gone now, and the key can read.
    let found = server.survey().await;
    let said = found.to_string();
    assert_eq!((found.changes(), found.differs()), (3, true), "{said}");
    for line in [
        "to change  lifecycle: no rule of ours: let older versions go after 30 day(s), unfinished uploads after 1 day(s)",
        "kept       lifecycle: rule tmp, which is somebody else's: under tmp/ OBJECTS GO after 3 day(s)",
        "kept       cors: rule partner, which is somebody else's: GET for https://partner.example",
        "kept       policy: statement Partner, which is somebody else's: Allow",
        "the write-only key of other and user-files CAN READ, so its uploads can copy what is there:\n  other by list, list of versions, GET, HEAD, copy",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    // To look changes nothing.
    assert!(read("lifecycle").await.contains("tmp") && !read("policy").await.contains("OriginWriteOnly"));
    found.apply(|_| ()).await.unwrap_or_else(|error| panic!("{error}"));
    let found = server.survey().await;
    assert!(!found.differs(), "{found}");
    for (what, theirs, ours) in [
        ("lifecycle", "tmp", "origin"),
        ("cors", "partner.example", "makenot.work"),
        ("policy", "Partner", "OriginWriteOnly"),
    ] {
        let text = read(what).await;
        assert!(text.contains(theirs) && text.contains(ours), "{what}: {text}");
    }
}

pub(crate) async fn what_was_changed_is_found(server: &Server) {
    if server.lacks(Lack::Policy) {
        return;
    }
    let suspended = "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status>Suspended</Status></VersioningConfiguration>";
    server.put_setting(&server.other, "versioning", suspended).await;
    let acl = Permit {
        method: "PUT",
        key: "",
        query: &[("acl", "")],
        headers: &[("x-amz-acl", "public-read")],
        begins: now(),
        lasts: 60,
    };
    let url = server.other.reader.presign(&acl);
    send(server.http.put(url).header("x-amz-acl", "public-read").header("content-length", "0")).await.expect_success();
    let found = server.survey().await;
    let said = found.to_string();
    assert_eq!((found.changes(), found.differs()), (2, true), "{said}");
    assert!(said.contains("to change  acl: lets AllUsers READ: make it private"), "{said}");
    assert!(said.contains("to change  versioning: is off"), "{said}");
    found.apply(|_| ()).await.unwrap_or_else(|error| panic!("{error}"));
    let found = server.survey().await;
    assert!(!found.differs(), "{found}");
    // Somebody else's bucket of the project is opened to the key.
    let elsewhere = server.elsewhere(ELSEWHERE);
    server.owner(&elsewhere, "DELETE", "", &[("policy", "")], Vec::new()).await.expect_success();
    let found = server.survey().await;
    let said = found.to_string();
    assert!(
        found.differs()
            && said.contains(&format!("CAN READ, so its uploads can copy what is there:\n  {ELSEWHERE} by list")),
        "{said}"
    );
    found.apply(|_| ()).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(!server.survey().await.differs());
}

pub(crate) async fn what_a_server_lacks_is_said(server: &Server) {
    let found = server.survey().await;
    let said = found.to_string();
    if server.kind == Kind::Swift {
        // The configuration says so, too.
        assert!(!found.differs(), "{said}");
        assert!(said.contains("  as wanted  bucket, acl, versioning\n"), "{said}");
        for setting in ["lifecycle", "cors", "policy"] {
            assert!(
                said.contains(&format!("  lacking    {setting}: the configuration says that this storage has none\n")),
                "{said}"
            );
        }
        let origin = server.origin(&["buckets", "check"]);
        assert_eq!(origin.0, 0, "{}", origin.1);
    }
    if server.kind != Kind::Embedded {
        return;
    }
    assert!(found.differs(), "{said}");
    for setting in ["versioning", "lifecycle", "cors", "policy"] {
        let line = said.lines().find(|line| line.contains(&format!("LACKING    {setting}: ")));
        let line = line.unwrap_or_else(|| panic!("{setting}\n{said}"));
        assert!(line.contains("this storage has nothing of the kind (501 NotImplemented"), "{line}");
        assert!(line.ends_with(&format!("write lacks = [\"{setting}\"]")), "{line}");
    }
}

pub(crate) async fn by_command(server: &Server) {
    let (code, said) = server.origin(&["buckets", "check"]);
    if server.lacks(Lack::Policy) {
        assert_eq!(code, i32::from(server.kind == Kind::Embedded), "{said}");
        return;
    }
    assert_eq!(code, 0, "{said}");
    assert!(said.ends_with("everything is as the configuration wants it\n"), "{said}");
    server.owner(&server.other, "DELETE", "", &[("cors", "")], Vec::new()).await.expect_success();
    let (code, said) = server.origin(&["buckets", "check", "other"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("to change  cors") && !said.contains("user-files: bucket"), "{said}");
    // Nobody is there to be asked.
    let (code, said) = server.origin(&["buckets", "apply"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("say --yes"), "{said}");
    let (code, said) = server.origin(&["buckets", "apply", "--yes"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("changed      other: cors\n"), "{said}");
    let (code, said) = server.origin(&["buckets", "check", "nothing"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("there is no [bucket.nothing]: write one of "), "{said}");
}
