//! gRPC's health service, whose code comes generated with tonic.

use std::time::Duration;

use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::ServingStatus;
use tonic_health::server::health_reporter;

/// A service that is well.
pub const STEADY: &str = "shop.v1.Orders";

/// A service whose health changes all the time.
pub const SHAKY: &str = "shop.v1.Payments";

/// How long it is in one state.
const SPELL: Duration = Duration::from_millis(20);

/// Serves the health of two services.
///
/// # Errors
/// If the listener can't be used any more.
pub async fn serve(listener: TcpListener) -> Result<(), tonic::transport::Error> {
    let (reporter, health) = health_reporter();
    reporter.set_service_status(STEADY, ServingStatus::Serving).await;
    let shake = async {
        loop {
            for status in [ServingStatus::Serving, ServingStatus::NotServing] {
                reporter.set_service_status(SHAKY, status).await;
                tokio::time::sleep(SPELL).await;
            }
        }
    };
    let served = Server::builder().add_service(health).serve_with_incoming(TcpIncoming::from(listener));
    tokio::select! {
        result = served => result,
        () = shake => Ok(()),
    }
}
