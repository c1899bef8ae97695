//! `GET /ws`: a WebSocket (RFC 6455) that says back what it hears; the page `/chat` talks to it.

use axum::{
    extract::{
        WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    response::Response,
};

/// Before each text that comes back.
const PREFIX: &str = "You said: ";

/// `GET /ws`.
pub(crate) async fn upgrade(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(converse)
}

/// Text comes back with a prefix, bytes as they are. axum answers pings and the close handshake.
async fn converse(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        let answer = match message {
            Message::Text(text) => Message::text(format!("{PREFIX}{text}")),
            Message::Binary(bytes) => Message::Binary(bytes),
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) => continue,
        };
        if socket.send(answer).await.is_err() {
            return;
        }
    }
}
