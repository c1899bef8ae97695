//! Files: the app decides who may read one, and says so in a header; the gateway answers the client with a presigned URL.
//!
//! The field is a structured-fields Item (RFC 9651 section 3.3): a Token, the bucket's role, with the parameters `key` and
//! `filename` (a String, or a Display String where it is not all ASCII) and `disposition` (a Token).

use axum::{
    extract::{Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use sfv::{ItemSerializer, RefBareItem, StringRef, key_ref, token_ref};

use crate::{Demo, account, api, objects::USER_FILES, pages, site};

const HANDOFF: HeaderName = HeaderName::from_static("handoff");

/// `GET /listen/{work}`: anyone may play or read a work on the page.
pub(crate) async fn listen(Path(slug): Path<String>) -> Response {
    match site::work(&slug) {
        Some((_, work)) => hand_off(work, "inline"),
        None => pages::no_such("work"),
    }
}

/// `GET /download/{work}`: keeping it takes an account.
pub(crate) async fn download(State(demo): State<Demo>, Path(slug): Path<String>, request: HeaderMap) -> Response {
    let Some((_, work)) = site::work(&slug) else { return pages::no_such("work") };
    if account::signed_in(&demo, &request).is_none() {
        return account::to_sign_in(&format!("/download/{}", work.slug));
    }
    hand_off(work, "attachment")
}

fn hand_off(work: &site::Work, disposition: &'static str) -> Response {
    answer(&field(USER_FILES, work.key, work.filename, disposition), "private, no-store")
}

/// 200 without a body: the gateway replaces the whole answer.
pub(crate) fn answer(field: &str, cache_control: &'static str) -> Response {
    let Ok(handoff) = HeaderValue::try_from(field) else {
        return api::error(StatusCode::INTERNAL_SERVER_ERROR, "the hand-off is not a field value");
    };
    ([(HANDOFF, handoff), (header::CACHE_CONTROL, HeaderValue::from_static(cache_control))]).into_response()
}

/// The field's value, for an object of a bucket.
pub(crate) fn field(bucket: &'static str, key: &str, filename: &str, disposition: &'static str) -> String {
    ItemSerializer::new()
        .bare_item(token_ref(bucket))
        .parameter(key_ref("key"), text(key))
        .parameter(key_ref("filename"), text(filename))
        .parameter(key_ref("disposition"), token_ref(disposition))
        .finish()
}

fn text(text: &str) -> RefBareItem<'_> {
    StringRef::from_str(text).map_or(RefBareItem::DisplayString(text), RefBareItem::String)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_strings_while_ascii_and_display_strings_otherwise() {
        assert_eq!(
            field(USER_FILES, "users/1/tide.wav", "Tide.wav", "attachment"),
            r#"user-files;key="users/1/tide.wav";filename="Tide.wav";disposition=attachment"#
        );
        assert_eq!(
            field(USER_FILES, "users/2/Fünf.txt", "a \"b\" \\.txt", "inline"),
            r#"user-files;key=%"users/2/F%c3%bcnf.txt";filename="a \"b\" \\.txt";disposition=inline"#
        );
    }
}
