//! The functions of `glue.js`.

use worker::js_sys::{JsString, Promise, Reflect};
use worker::wasm_bindgen::{self, prelude::*};
use worker::web_sys;

#[wasm_bindgen(module = "/src/worker/glue.js")]
extern "C" {
    pub(super) fn rules() -> String;
    pub(super) fn request_head(request: &web_sys::Request) -> String;
    pub(super) fn response_head(response: &web_sys::Response) -> String;
    pub(super) fn fill_random(bytes: &mut [u8]);
    #[wasm_bindgen(catch)]
    pub(super) async fn forward(
        limiter: &JsValue,
        client: &str,
        method: &str,
        body: &JsValue,
        url: &str,
        packed: &str,
        patience: u32,
    ) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    pub(super) async fn ask(url: &str, packed: &str, patience: u32) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    pub(super) async fn verify(
        limiter: &JsValue,
        client: &str,
        secret: &str,
        token: &str,
        remote_ip: &str,
        patience: u32,
    ) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    pub(super) async fn read_text(body: &JsValue, limit: u32) -> Result<JsValue, JsValue>;
    pub(super) fn sleep(milliseconds: u32) -> Promise;
    pub(super) fn at_most(promise: &Promise, milliseconds: u32) -> Promise;
    pub(super) fn respond(body: &JsValue, status: u16, packed: &str, log: String) -> web_sys::Response;
    pub(super) fn pass_on(response: &web_sys::Response, removed: &str, added: &str, log: String) -> web_sys::Response;
    #[wasm_bindgen(catch)]
    pub(super) async fn cache_match(url: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    pub(super) async fn cache_part(url: &str, start: f64, end: f64) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    pub(super) async fn cache_delete(url: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(catch)]
    pub(super) fn cache_refresh(
        context: &JsValue,
        url: &str,
        response: &web_sys::Response,
        packed: &str,
    ) -> Result<(), JsValue>;
    #[wasm_bindgen(catch)]
    pub(super) fn cache_mark(context: &JsValue, url: &str, packed: &str) -> Result<(), JsValue>;
    pub(super) fn wait_until(context: &JsValue, promise: &Promise);
    pub(super) fn discard(body: &JsValue);
    #[wasm_bindgen(catch)]
    pub(super) fn cache_put(
        context: &JsValue,
        url: &str,
        response: &web_sys::Response,
        packed: &str,
        limit: u32,
    ) -> Result<web_sys::Response, JsValue>;
}

/// What the environment holds under a name; undefined where there is nothing.
pub(super) fn binding(env: &JsValue, name: &str) -> JsValue {
    Reflect::get(env, &name.into()).unwrap_or(JsValue::UNDEFINED)
}

/// A JavaScript string as a body.
pub(super) fn text(text: &str) -> JsValue {
    JsString::from(text).into()
}
