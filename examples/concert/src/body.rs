//! Reading a request to its end before answering it.
//!
//! `receive` puts the whole body in memory first. Otherwise a refusal that needs no body (no token, an
//! injected failure) could leave it half read on the connection, which would then have to be closed, and
//! a client that keeps its connections would see its next request fail. It refuses bodies that no
//! route could want.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::ApiError;

/// The largest request body, in bytes.
pub const LIMIT: usize = 64 * 1024;

/// Receives the body, then passes the request on.
pub(crate) async fn receive(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match to_bytes(body, LIMIT).await {
        Ok(bytes) => next.run(Request::from_parts(parts, Body::from(bytes))).await,
        // Too long, or broken off: then nobody reads the answer anyway.
        Err(_) => {
            let error = format!("the request body has more than {LIMIT} bytes or broke off");
            ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, error, "send a small JSON object").into_response()
        }
    }
}
