//! What the service answers when it cannot do what was asked.
//!
//! [`ApiError`] is a status with a JSON body `{"error": ..., "hint": ...}`; [`Body`] and [`Id`] are
//! axum's extractors with such a body for their refusals. It refuses to carry internals to a client.

use axum::Json;
use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{FromRequest, FromRequestParts, OriginalUri, Path, Request};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::schedule::SCHEDULES;
use crate::seats::SEATS;

/// A refusal: a status, what is wrong, and what to do instead.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    error: String,
    hint: String,
}

impl ApiError {
    /// A refusal with this status.
    pub fn new(status: StatusCode, error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { status, error: error.into(), hint: hint.into() }
    }

    /// The status that the client gets.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn no_schedule(schedule: u32) -> Self {
        let hint = format!("schedules are numbered from 1 to {SCHEDULES}");
        Self::new(StatusCode::NOT_FOUND, format!("there is no schedule {schedule}"), hint)
    }

    pub(crate) fn no_seat(seat: u32) -> Self {
        let hint = format!("seats are numbered from 1 to {SEATS}");
        Self::new(StatusCode::NOT_FOUND, format!("there is no seat {seat}"), hint)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Refusal {
            error: String,
            hint: String,
        }
        (self.status, Json(Refusal { error: self.error, hint: self.hint })).into_response()
    }
}

/// A JSON request body.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let Json(body) = Json::from_request(request, state).await?;
        Ok(Self(body))
    }
}

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        let hint = "send a JSON object with the header content-type: application/json";
        Self::new(rejection.status(), rejection.body_text(), hint)
    }
}

/// A parameter in the path.
#[derive(Debug)]
pub struct Id<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Id<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(id) = Path::from_request_parts(parts, state).await?;
        Ok(Self(id))
    }
}

impl From<PathRejection> for ApiError {
    fn from(rejection: PathRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text(), "schedules are identified by a number")
    }
}

pub(crate) async fn no_route(OriginalUri(uri): OriginalUri) -> ApiError {
    let hint = "see the README for the routes";
    ApiError::new(StatusCode::NOT_FOUND, format!("there is nothing at {}", uri.path()), hint)
}

pub(crate) async fn no_method(method: Method, OriginalUri(uri): OriginalUri) -> ApiError {
    let error = format!("{} does not answer to {method}", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, error, "see the README for the routes")
}
