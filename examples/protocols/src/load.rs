//! The load tests of these services: `cargo loadtest -p protocols`.
//!
//! The services run in the test's own process, which is enough to see how each protocol is measured; a service that is
//! to be measured in earnest runs in a process of its own.

use std::net::SocketAddr;

use loadtest_runtime::prelude::*;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tower::ServiceBuilder;

use crate::live::CHAT;
use crate::store::Client;
use crate::{health, live, store};

/// Where a service listens.
fn address(service: &Service) -> &str {
    service.base_url().trim_start_matches("http://")
}

/// Says on stderr why a service has ended.
fn told<E: std::fmt::Display>(result: Result<(), E>) {
    if let Err(error) = result {
        eprintln!("the service ended: {error}");
    }
}

async fn serve_live(setup: Setup) -> Result<Service> {
    setup.in_process(async |listener| told(live::serve(listener).await)).await
}

async fn serve_health(setup: Setup) -> Result<Service> {
    setup.in_process(async |listener| told(health::serve(listener).await)).await
}

async fn serve_store(setup: Setup) -> Result<Service> {
    setup.in_process(async |listener| told(store::serve(listener).await)).await
}

/// A visitor says a few things and leaves.
#[load_test(
    vus = 2,
    iterations = 20,
    thresholds = [
        "ws_sessions: count==20",
        "ws_connecting{status:101}: p(95)<500ms",
        "ws_msgs_received: count==60",
        "ws_ping: p(95)<500ms",
        "ws_session_duration: max<5s",
        "checks: rate==100%",
    ],
    setup = serve_live,
)]
async fn chat(vu: &mut Vu, service: &Service) -> Result {
    let url = format!("ws://{}/rooms/7", address(service));
    let mut room = vu.websocket(url).subprotocol(CHAT).connect().await?;
    for text in ["hello", "anybody here?", "bye"] {
        room.send_text(text).await?;
        let answer = room.next().await?;
        let heard = answer.is_some_and(|answer| answer.as_text() == Some(&format!("you said: {text}")));
        vu.check("heard", heard);
    }
    room.ping().await?;
    room.close().await?;
    Ok(())
}

/// A trader watches prices until the stream ends.
#[load_test(
    vus = 2,
    iterations = 10,
    thresholds = [
        "sse_event: count==200",
        "sse_time_to_first_event: p(95)<500ms",
        "http_req_failed: rate==0%",
        "checks: rate==100%",
    ],
    setup = serve_live,
)]
async fn prices(vu: &mut Vu, service: &Service) -> Result {
    let mut events = vu.http().get(service.url("/prices")).timeout(secs(30)).send_events().await?;
    while let Some(event) = events.next().await? {
        vu.check("a price", event.event == "price" && event.data.parse::<u32>().is_ok());
    }
    vu.check("all of them", events.last_event_id() == "19");
    Ok(())
}

/// The connection of one virtual user, kept over its iterations.
async fn connect(_: &mut Vu, service: &Service) -> Result<Channel> {
    Ok(Channel::from_shared(service.base_url().to_owned())?.connect().await?)
}

/// Asks for the health of one service, and watches that of another.
#[load_test(
    vus = 2,
    iterations = 10,
    thresholds = [
        "grpc_req_duration{method:Check,status:0}: p(95)<500ms",
        "grpc_req_duration{method:Check,status:0}: count==10",
        "grpc_req_duration{status:5}: count==10",
        "grpc_streams{method:Watch}: count==10",
        "grpc_streams_msgs_received: count==30",
        "checks: rate==100%",
    ],
    setup = serve_health,
    vu_init = connect,
)]
async fn check_and_watch(vu: &mut Vu, _: &Service, channel: &mut Channel) -> Result {
    let layer = vu.layer().count_sent(tonic::body::Body::new);
    let mut client = HealthClient::new(ServiceBuilder::new().layer(layer).service(channel.clone()));
    let of = |service: &str| HealthCheckRequest { service: service.to_owned() };

    let answer = client.check(of(health::STEADY)).await?.into_inner();
    vu.check("it is well", answer.status() == ServingStatus::Serving);
    let unknown = client.check(of("shop.v1.Nothing")).await;
    vu.check("nobody knows it", unknown.is_err_and(|status| status.code() == tonic::Code::NotFound));

    let mut changes = client.watch(of(health::SHAKY)).await?.into_inner();
    let mut last = None;
    for _ in 0..3 {
        let status = changes.message().await?.map(|change| change.status());
        vu.check("it changes", status.is_some() && status != last);
        last = status;
    }
    Ok(())
}

/// Questions and answers over raw TCP.
#[load_test(
    vus = 2,
    iterations = 20,
    thresholds = [
        "tcp_sessions: count==20",
        "tcp_connecting: p(95)<500ms",
        "tcp_req_duration{name:store}: p(95)<500ms",
        "tcp_req_duration{expected_response:true}: count==40",
        "checks: rate==100%",
    ],
    setup = serve_store,
)]
async fn lines(vu: &mut Vu, service: &Service) -> Result {
    let mut store = vu.tcp(address(service)).name("store").connect().await?;
    let key = format!("k{}", vu.id());
    vu.check("kept", store.request(format!("SET {key} 1\r\n"), "\r\n").await? == "OK\r\n");
    vu.check("there", store.request(format!("GET {key}\r\n"), "\r\n").await? == "VALUE 1\r\n");
    Ok(())
}

/// The same through a client library, as for any database or broker: each operation is measured by its name.
#[load_test(
    vus = 2,
    iterations = 20,
    thresholds = [
        "measure_duration{name:set}: p(95)<500ms",
        "measure_duration{name:get}: p(95)<500ms",
        "measure_failed: rate==0%",
        "checks: rate==100%",
    ],
    setup = serve_store,
)]
async fn through_a_client(vu: &mut Vu, service: &Service) -> Result {
    let address: SocketAddr = address(service).parse()?;
    let mut store = vu.measure("connect", Client::connect(address)).await?;
    let key = format!("k{}", vu.id());
    vu.measure("set", store.set(&key, "1")).await?;
    let value = vu.measure("get", store.get(&key)).await?;
    vu.check("there", value.as_deref() == Some("1"));
    Ok(())
}
