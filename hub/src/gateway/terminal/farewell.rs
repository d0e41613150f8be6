//! How the end of a session is told over a socket, to its person and to who watches.

use super::{messages::ServerMessage, output::Output, socket::Socket};
use crate::domains::sessions::End;

/// Says how the session ended and closes the socket.
pub(super) async fn say(mut socket: Socket, request_id: &str, end: &End) {
    let message = end.message();
    if let Some(code) = end.code() {
        socket.queue(&ServerMessage::Error { code, message: &message, request_id });
    }
    let (status, signal) = match end {
        End::Exited { status, signal } => (*status, signal.as_deref()),
        _ => (None, None),
    };
    socket.queue(&ServerMessage::Exit { status, signal, reason: &message });
    socket.close(&mut Output::default(), close_code(end), end.code().unwrap_or("ended")).await;
}

fn close_code(end: &End) -> u16 {
    match end {
        End::Exited { .. } | End::Disconnected => 1000,
        End::Terminated { .. } => 4003,
        End::Expired { code: "idle_timeout", .. } => 4008,
        End::Failed { .. } | End::Expired { code: "hub_shutdown", .. } => 4500,
        End::Expired { .. } => 4001,
    }
}
