//! A bucket: a signed HEAD of it and, where a canary is named, a small object that is written, read and compared.

use aws_sdk_s3::primitives::ByteStream;

use super::Found;
use crate::health::Around;
use crate::health::level::Level;
use crate::storage::Store;

pub(super) async fn look(around: &Around, role: &str, canary: Option<&str>) -> Result<Found, String> {
    let stores = around.stores(role)?;
    stores.reader.reach().await.map_err(|e| e.to_string())?;
    let Some(key) = canary else { return Ok(Found::good("answers")) };
    let said = format!("{:016x}", rand::random::<u64>());
    let writer = stores.writer.as_ref().unwrap_or(&stores.reader);
    let version = write(writer, key, &said).await?;
    let read = read(&stores.reader, key).await?;
    // Another gateway may have written in between.
    if read.len() != said.len() {
        return Err("what was written is not what is read".to_owned());
    }
    let says = "answers, and keeps what is written";
    match version.filter(|version| version != "null") {
        Some(version) => Ok(match remove(&stores.reader, key, version).await {
            Ok(()) => Found::good(says),
            Err(why) => Found::good(format!("{says}; {why}")).at_least(Level::Degraded),
        }),
        None => Ok(Found::good(says)),
    }
}

/// The version that it has become, where the bucket keeps versions.
async fn write(store: &Store, key: &str, text: &str) -> Result<Option<String>, String> {
    let call = store.client().put_object().bucket(store.name()).key(key).content_type("text/plain");
    let call = call.body(ByteStream::from(text.as_bytes().to_vec()));
    let written = call.send().await.map_err(|e| store.failed("writing the canary", e).to_string())?;
    Ok(written.version_id)
}

/// A bucket with versions would keep each canary for ever.
async fn remove(store: &Store, key: &str, version: String) -> Result<(), String> {
    let call = store.client().delete_object().bucket(store.name()).key(key).version_id(version);
    call.send().await.map(drop).map_err(|e| store.failed("removing the canary's version", e).to_string())
}

async fn read(store: &Store, key: &str) -> Result<String, String> {
    let call = store.client().get_object().bucket(store.name()).key(key);
    let answer = call.send().await.map_err(|e| store.failed("reading the canary", e).to_string())?;
    let bytes = answer.body.collect().await.map_err(|e| format!("reading the canary broke off: {e}"))?;
    Ok(String::from_utf8_lossy(&bytes.into_bytes()).into_owned())
}
