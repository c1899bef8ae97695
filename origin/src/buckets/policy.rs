//! The bucket's policy: statements of ours, known by their names, beside whatever else stands there.

use serde_json::{Value, json};

use super::project::Writer;

/// With this the names of our statements begin.
const OURS: &str = "Origin";

/// What a write-only key may not do where it writes. Named one by one: Ceph 16.2 passes over a denial of all but some (`NotAction`).
const UNWRITTEN: [&str; 7] = [
    "s3:Get*",
    "s3:List*",
    "s3:Delete*",
    "s3:PutBucket*",
    "s3:PutLifecycle*",
    "s3:PutObjectAcl",
    "s3:PutObjectVersionAcl",
];

/// What makes an object public as it is written, by each of its names: old Ceph takes these fields unsigned.
const PUBLIC: [(&str, &str, &[&str]); 5] = [
    ("Acl", "s3:x-amz-acl", &["public-read*", "authenticated-read"]),
    ("GrantRead", "s3:x-amz-grant-read", &["*"]),
    ("GrantReadAcp", "s3:x-amz-grant-read-acp", &["*"]),
    ("GrantWriteAcp", "s3:x-amz-grant-write-acp", &["*"]),
    ("GrantFullControl", "s3:x-amz-grant-full-control", &["*"]),
];

/// Our statements for a bucket; those about public objects only for one that is `ours`.
pub(super) fn wanted(bucket: &str, writers: &[Writer], ours: bool) -> Vec<Value> {
    let (whole, objects) = (format!("arn:aws:s3:::{bucket}"), format!("arn:aws:s3:::{bucket}/*"));
    let deny = |name: &str, keys: Vec<&str>, actions: &[&str]| {
        json!({
            "Sid": format!("{OURS}{name}"), "Effect": "Deny", "Principal": {"AWS": keys},
            "Action": actions, "Resource": [whole, objects],
        })
    };
    let (home, away): (Vec<&Writer>, Vec<&Writer>) =
        writers.iter().partition(|writer| writer.homes.iter().any(|home| home == bucket));
    let names = |list: Vec<&Writer>| {
        let mut names: Vec<String> = list.into_iter().map(|writer| writer.principal.clone()).collect();
        names.sort_unstable();
        names
    };
    let (home, away) = (names(home), names(away));
    let mut all = Vec::new();
    if !home.is_empty() {
        all.push(deny("WriteOnly", home.iter().map(String::as_str).collect(), &UNWRITTEN));
    }
    if !away.is_empty() {
        all.push(deny("NotThisBucket", away.iter().map(String::as_str).collect(), &["s3:*"]));
    }
    if ours {
        all.extend(PUBLIC.iter().map(|(name, field, values)| {
            json!({
                "Sid": format!("{OURS}NoPublic{name}"), "Effect": "Deny", "Principal": "*",
                "Action": ["s3:PutObject", "s3:PutObjectAcl"], "Resource": [objects],
                "Condition": {"StringLike": {*field: values}},
            })
        }));
    }
    all
}

/// Our statements of a policy, and the others.
pub(super) fn apart(policy: Option<&Value>) -> (Vec<Value>, Vec<Value>) {
    let statements = match policy.map(|policy| &policy["Statement"]) {
        Some(Value::Array(list)) => list.clone(),
        Some(one @ Value::Object(_)) => vec![one.clone()],
        _ => Vec::new(),
    };
    statements.into_iter().partition(|statement| sid(statement).starts_with(OURS))
}

/// A policy of these statements, as that which is there otherwise; none of no statement.
pub(super) fn whole(there: Option<&Value>, statements: Vec<Value>) -> Option<Value> {
    if statements.is_empty() {
        return None;
    }
    let mut policy = there.cloned().unwrap_or_else(|| json!({"Version": "2012-10-17"}));
    policy["Statement"] = statements.into();
    Some(policy)
}

/// Whether these are the same statements, in any order.
pub(super) fn same(these: &[Value], those: &[Value]) -> bool {
    let plain = |list: &[Value]| {
        let mut texts: Vec<String> = list.iter().map(|statement| plain(statement).to_string()).collect();
        texts.sort_unstable();
        texts
    };
    plain(these) == plain(those)
}

/// Servers write a list of one as the one, and lists in any order.
fn plain(value: &Value) -> Value {
    match value {
        Value::Array(list) => match list.as_slice() {
            [one] => plain(one),
            list => {
                let mut list: Vec<Value> = list.iter().map(plain).collect();
                list.sort_by_key(Value::to_string);
                list.into()
            }
        },
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), plain(value))).collect(),
        other => other.clone(),
    }
}

/// What differs between our statements as they are and as they are to be.
pub(super) fn difference(there: &[Value], wish: &[Value]) -> String {
    let meaning = |statement: &Value| match sid(statement).strip_prefix(OURS).unwrap_or_default() {
        "WriteOnly" => "deny the write-only key to read, list and delete",
        "NotThisBucket" => "deny everything to write-only keys of other buckets",
        name if name.starts_with("NoPublic") => "deny everyone to make objects public",
        _ => "",
    };
    let lacks = |list: &[Value], one: &Value| {
        !list.iter().any(|other| same(std::slice::from_ref(other), std::slice::from_ref(one)))
    };
    let mut said: Vec<&str> = wish.iter().filter(|one| lacks(there, one)).map(meaning).collect();
    said.dedup();
    if there.iter().any(|one| lacks(wish, one)) {
        said.push("take out older statements of ours");
    }
    said.join("; ")
}

/// Somebody else's statement.
pub(super) fn say(statement: &Value) -> String {
    let open = statement["Effect"] == "Allow"
        && (statement["Principal"] == "*"
            || statement["Principal"]["AWS"] == "*"
            || statement["Principal"]["AWS"] == json!(["*"]));
    let name = Some(sid(statement)).filter(|name| !name.is_empty()).unwrap_or("without a name");
    let effect = statement["Effect"].as_str().unwrap_or_default();
    let warning = if open { ", which lets ANYONE" } else { "" };
    format!("statement {name}, which is somebody else's: {effect} {}{warning}", plain(&statement["Action"]))
}

fn sid(statement: &Value) -> &str {
    statement["Sid"].as_str().unwrap_or_default()
}
