//! Which of a name's addresses are left.

use super::*;

fn shared(own: &[&str]) -> Shared {
    Shared {
        policy: Arc::new(Policy::new(&[])),
        refusals: Arc::new(RefusalLog::new("test".into())),
        resolver: Resolver::system(),
        own: own.iter().map(|own| own.parse().unwrap()).collect(),
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
        .permitted(&Target::of(&uri).unwrap(), Allowance { named }, addresses)
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
    assert!(shared.own_listener(public, true).is_some());
    assert!(shared.own_listener(public, false).is_none());
}

#[test]
fn a_name_without_addresses_is_no_refusal() {
    for named in [false, true] {
        assert!(matches!(left(&[], named, &[]), Err(ConnectError::NoAddress)));
    }
}
