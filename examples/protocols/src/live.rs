//! What browsers listen to: a chat room over WebSocket, and prices as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::serve::ListenerExt;
use futures_util::{Stream, stream};
use tokio::net::TcpListener;

/// The protocol of the chat room.
pub const CHAT: &str = "chat.v1";

/// Between two prices.
const TICK: Duration = Duration::from_millis(5);

/// The prices of one stream.
const PRICES: u32 = 20;

/// Serves both.
///
/// # Errors
/// If the listener can't be used any more.
pub async fn serve(listener: TcpListener) -> std::io::Result<()> {
    let routes = Router::new().route("/rooms/{room}", any(chat)).route("/prices", get(prices));
    // A price must not wait for the acknowledgement of the one before.
    let listener = listener.tap_io(|stream| _ = stream.set_nodelay(true));
    axum::serve(listener, routes).await
}

/// Opens a session for whoever speaks the protocol.
async fn chat(upgrade: WebSocketUpgrade) -> Response {
    let upgrade = upgrade.protocols([CHAT]);
    if upgrade.selected_protocol().is_none() {
        return (StatusCode::BAD_REQUEST, "this room speaks chat.v1").into_response();
    }
    upgrade.on_upgrade(talk)
}

/// A room of one: everything is repeated.
async fn talk(mut session: WebSocket) {
    while let Some(Ok(message)) = session.recv().await {
        let answer = match message {
            Message::Text(text) => Message::text(format!("you said: {text}")),
            Message::Binary(bytes) => Message::Binary(bytes),
            // Pings and closes are answered by axum.
            _ => continue,
        };
        if session.send(answer).await.is_err() {
            return;
        }
    }
}

/// Some prices, one after another.
async fn prices() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    Sse::new(stream::unfold(0, async |number| {
        if number == PRICES {
            return None;
        }
        tokio::time::sleep(TICK).await;
        let price = 100 + (number * 37) % 11;
        let event = Event::default().event("price").id(number.to_string()).data(price.to_string());
        Some((Ok(event), number + 1))
    }))
}
