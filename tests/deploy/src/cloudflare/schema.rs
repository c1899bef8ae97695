//! Bodies are held to `schemas/`.

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

/// The schemas, by their file's name.
const FILES: [(&str, &str); 8] = [
    ("dns_record", include_str!("schemas/dns_record.json")),
    ("rules", include_str!("schemas/rules.json")),
    ("route", include_str!("schemas/route.json")),
    ("origin_tls_client_auth", include_str!("schemas/origin_tls_client_auth.json")),
    ("origin_tls_client_auth_settings", include_str!("schemas/origin_tls_client_auth_settings.json")),
    ("certificate", include_str!("schemas/certificate.json")),
    ("url_normalization", include_str!("schemas/url_normalization.json")),
    ("bot_management", include_str!("schemas/bot_management.json")),
];

/// Whether a body is of a schema; the error says where it is not.
pub(crate) fn check(name: &str, body: &Value) -> Result<(), String> {
    let (_, text) = FILES.iter().find(|(file, _)| *file == name).expect("the schema exists");
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.enable_format_assertions();
    let place = format!("file:///{name}.json");
    compiler.add_resource(&place, serde_json::from_str(text).expect("a schema is JSON")).expect("a schema is one");
    let index: SchemaIndex = compiler.compile(&place, &mut schemas).expect("a schema compiles");
    schemas.validate(body, index).map_err(|error| error.to_string())
}
