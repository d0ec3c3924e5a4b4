//! Which of a name's addresses are left.

use super::*;

fn shared(own: &[&str]) -> Shared {
    Shared {
        ledger: None,
        policy: Arc::new(Policy::new(&[])),
        refusals: Arc::new(RefusalLog::new("test".into(), "outgoing requests to more than")),
        resolver: Resolver::system(),
        own: OwnListeners { clients: own.iter().map(|own| own.parse().unwrap()).collect(), admin: None },
        roots: Roots::system(),
        tls: OnceCell::new(),
        connections: Arc::new(Semaphore::new(1)),
        timeout: Duration::from_secs(1),
    }
}

fn left(own: &[&str], named: bool, addresses: &[&str]) -> Result<Vec<String>, ConnectError> {
    let uri: Uri = "http://a.test:80/".parse().unwrap();
    let addresses = addresses.iter().map(|a| a.parse().unwrap()).collect();
    shared(own)
        .permitted(&Target::of(&uri).unwrap(), Allowance { named, nearby: named }, addresses)
        .map(|left| left.iter().map(ToString::to_string).collect())
}

fn reason(result: Result<Vec<String>, ConnectError>) -> Reason {
    match result.unwrap_err() {
        ConnectError::Refused(refused) => refused.reason,
        other => panic!("{other}"),
    }
}

#[test]
fn of_a_mixed_answer_only_the_public_part_is_left() {
    let mixed = ["127.0.0.1:80", "1.1.1.1:80", "[::1]:80", "[2606:4700::1]:80"];
    assert_eq!(left(&[], false, &mixed).unwrap(), ["1.1.1.1:80", "[2606:4700::1]:80"]);
    assert_eq!(left(&[], true, &mixed).unwrap(), mixed);
}

#[test]
fn our_own_public_address_is_a_loop_at_our_own_port() {
    let own = ["8.8.8.8:80"];
    assert_eq!(reason(left(&own, false, &["8.8.8.8:80"])), Reason::Loop("8.8.8.8:80".parse().unwrap()));
    assert_eq!(left(&own, false, &["8.8.8.8:81"]).unwrap(), ["8.8.8.8:81"]);
    assert_eq!(left(&own, true, &["8.8.8.8:80"]).unwrap(), ["8.8.8.8:80"]);
    assert_eq!(left(&own, false, &["8.8.8.8:80", "9.9.9.9:80"]).unwrap(), ["9.9.9.9:80"]);
}

#[test]
fn a_listener_on_every_address_is_met_on_each_of_this_machine() {
    let shared = shared(&["0.0.0.0:80"]);
    let public = "8.8.8.8:80".parse().unwrap();
    assert!(shared.own.closed(public, true, false).is_some());
    assert!(shared.own.closed(public, false, false).is_none());
}

#[test]
fn the_admin_listener_is_closed_however_it_is_named() {
    let admin: SocketAddr = "127.0.0.1:81".parse().unwrap();
    let own = OwnListeners { clients: vec!["127.0.0.1:80".parse().unwrap()], admin: Some(admin) };
    let shared = Shared { own, ..shared(&[]) };
    let target: Uri = "http://a.test/".parse().unwrap();
    let addresses = vec!["127.0.0.1:80".parse().unwrap(), admin, "[::ffff:127.0.0.1]:81".parse().unwrap()];
    let permitted = |addresses| {
        shared.permitted(&Target::of(&target).unwrap(), Allowance { named: true, nearby: true }, addresses)
    };
    assert_eq!(permitted(addresses).unwrap(), ["127.0.0.1:80".parse().unwrap()]);
    match permitted(vec![admin]).unwrap_err() {
        ConnectError::Refused(refused) => assert_eq!(refused.reason, Reason::Admin(admin)),
        other => panic!("{other}"),
    }
}

#[test]
fn a_name_without_addresses_is_no_refusal() {
    for named in [false, true] {
        assert!(matches!(left(&[], named, &[]), Err(ConnectError::NoAddress)));
    }
}
