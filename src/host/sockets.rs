//! `wasi:sockets`, shadowed where a guest would reach out: names are looked up by rules of their own and by few threads
//! at once, and what is refused is a line in the log.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use wasmtime::StoreContextMut;
use wasmtime::component::{Accessor, Linker, Resource, ResourceType};
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddress, IpAddressFamily, Network};
use wasmtime_wasi::p2::{self, DynPollable, Pollable};
use wasmtime_wasi::p3::bindings::sockets::{ip_name_lookup as lookup_03, types as types_03};
use wasmtime_wasi::sockets::{TcpSocket, UdpSocket};

use super::outbound::{MOST_ADDRESSES, Raw, Unresolved};
use super::state::HostState;

/// Bytes that a look-up takes beside its entry in a table: its name and its future, or its addresses.
pub(super) const LOOKUP: usize = 1024 + MOST_ADDRESSES * size_of::<IpAddr>();

/// A look-up of 0.2, under way or with its addresses.
pub(super) struct Lookup(State);

enum State {
    Pending(Pin<Box<dyn Future<Output = Addresses> + Send>>),
    Ready(Result<std::vec::IntoIter<IpAddr>, Unresolved>),
}

type Addresses = Result<Vec<IpAddr>, Unresolved>;

impl Lookup {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<&mut Result<std::vec::IntoIter<IpAddr>, Unresolved>> {
        if let State::Pending(future) = &mut self.0 {
            match future.as_mut().poll(cx) {
                Poll::Ready(addresses) => self.0 = State::Ready(addresses.map(Vec::into_iter)),
                Poll::Pending => return Poll::Pending,
            }
        }
        match &mut self.0 {
            State::Ready(addresses) => Poll::Ready(addresses),
            State::Pending(_) => Poll::Pending,
        }
    }
}

#[async_trait::async_trait]
impl Pollable for Lookup {
    async fn ready(&mut self) {
        std::future::poll_fn(|cx| self.poll(cx).map(drop)).await;
    }
}

impl From<Unresolved> for ErrorCode {
    fn from(unresolved: Unresolved) -> Self {
        match unresolved {
            Unresolved::Denied => Self::AccessDenied,
            Unresolved::Invalid => Self::InvalidArgument,
            Unresolved::Unknown => Self::NameUnresolvable,
        }
    }
}

impl From<Unresolved> for lookup_03::ErrorCode {
    fn from(unresolved: Unresolved) -> Self {
        match unresolved {
            Unresolved::Denied => Self::AccessDenied,
            Unresolved::Invalid => Self::InvalidArgument,
            Unresolved::Unknown => Self::NameUnresolvable,
        }
    }
}

type Answer<T, E = ErrorCode> = wasmtime::Result<(Result<T, E>,)>;

/// The addresses of a name for a component; started when it is first polled.
fn lookup(state: &HostState, name: String) -> impl Future<Output = Addresses> + Send + use<> {
    let capabilities = Arc::clone(&state.capabilities);
    async move { capabilities.sockets.lookup(&name).await }
}

fn refuse(state: &HostState, raw: Raw) {
    state.capabilities.sockets.refuse_raw(raw);
}

/// Shadows what 0.2 guests look names up and make sockets by.
pub(super) fn link_02(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut lookups = linker.instance("wasi:sockets/ip-name-lookup@0.2.12")?;
    lookups.resource("resolve-address-stream", ResourceType::host::<Lookup>(), |mut store, rep| {
        store.data_mut().table.delete(Resource::<Lookup>::new_own(rep))?;
        Ok(())
    })?;
    lookups.func_wrap("resolve-addresses", resolve_addresses)?;
    lookups.func_wrap("[method]resolve-address-stream.resolve-next-address", resolve_next_address)?;
    lookups.func_wrap("[method]resolve-address-stream.subscribe", subscribe)?;
    linker.instance("wasi:sockets/tcp-create-socket@0.2.12")?.func_wrap(
        "create-tcp-socket",
        |store: StoreContextMut<'_, HostState>,
         (_,): (IpAddressFamily,)|
         -> Answer<Resource<p2::TcpSocket>> {
            refuse(store.data(), Raw::Tcp);
            Ok((Err(ErrorCode::AccessDenied),))
        },
    )?;
    linker.instance("wasi:sockets/udp-create-socket@0.2.12")?.func_wrap(
        "create-udp-socket",
        |store: StoreContextMut<'_, HostState>,
         (_,): (IpAddressFamily,)|
         -> Answer<Resource<p2::UdpSocket>> {
            refuse(store.data(), Raw::Udp);
            Ok((Err(ErrorCode::AccessDenied),))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

fn resolve_addresses(
    mut store: StoreContextMut<'_, HostState>,
    (network, name): (Resource<Network>, String),
) -> Answer<Resource<Lookup>> {
    let state = store.data_mut();
    state.table.get(&network)?;
    let mut found = Lookup(State::Pending(Box::pin(lookup(state, name))));
    // What needs no look-up is told at once.
    if let Poll::Ready(Err(unresolved)) = found.poll(&mut Context::from_waker(Waker::noop())) {
        return Ok((Err((*unresolved).into()),));
    }
    Ok((Ok(state.table.push(found)?),))
}

fn resolve_next_address(
    mut store: StoreContextMut<'_, HostState>,
    (this,): (Resource<Lookup>,),
) -> Answer<Option<IpAddress>> {
    let found = store.data_mut().table.get_mut(&this)?;
    Ok((match found.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Pending => Err(ErrorCode::WouldBlock),
        Poll::Ready(Ok(addresses)) => Ok(addresses.next().map(IpAddress::from)),
        Poll::Ready(Err(unresolved)) => Err((*unresolved).into()),
    },))
}

fn subscribe(
    mut store: StoreContextMut<'_, HostState>,
    (this,): (Resource<Lookup>,),
) -> wasmtime::Result<(Resource<DynPollable>,)> {
    Ok((p2::subscribe(&mut store.data_mut().table, this)?,))
}

/// Shadows what 0.3 guests look names up and make sockets by.
pub(super) fn link_03(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    linker.instance("wasi:sockets/ip-name-lookup@0.3.0")?.func_wrap_concurrent(
        "resolve-addresses",
        |accessor: &Accessor<HostState>, (name,): (String,)| {
            Box::pin(async move {
                let found = accessor.with(|mut access| lookup(access.data_mut(), name)).await;
                let addresses =
                    |found: Vec<IpAddr>| found.into_iter().map(types_03::IpAddress::from).collect();
                Ok((found.map(addresses).map_err(lookup_03::ErrorCode::from),))
            })
                as Pin<
                    Box<dyn Future<Output = Answer<Vec<types_03::IpAddress>, lookup_03::ErrorCode>> + Send>,
                >
        },
    )?;
    let mut types = linker.instance("wasi:sockets/types@0.3.0")?;
    types.func_wrap(
        "[static]tcp-socket.create",
        |store: StoreContextMut<'_, HostState>,
         (_,): (types_03::IpAddressFamily,)|
         -> Answer<Resource<TcpSocket>, types_03::ErrorCode> {
            refuse(store.data(), Raw::Tcp);
            Ok((Err(types_03::ErrorCode::AccessDenied),))
        },
    )?;
    types.func_wrap(
        "[static]udp-socket.create",
        |store: StoreContextMut<'_, HostState>,
         (_,): (types_03::IpAddressFamily,)|
         -> Answer<Resource<UdpSocket>, types_03::ErrorCode> {
            refuse(store.data(), Raw::Udp);
            Ok((Err(types_03::ErrorCode::AccessDenied),))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}
