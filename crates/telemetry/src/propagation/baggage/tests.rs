//! The rules of W3C Baggage, one by one.

use super::*;

fn headers(fields: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for field in fields {
        headers.append(&BAGGAGE, HeaderValue::from_bytes(field.as_bytes()).unwrap());
    }
    headers
}

/// What is carried on, and how many members were dropped.
fn carried(fields: &[&str]) -> (String, u32) {
    let (baggage, dropped) = extract(&headers(fields));
    let mut out = headers(&["stale=1", "stale=2"]);
    inject(&baggage, &mut out);
    let sent: Vec<_> = out.get_all(&BAGGAGE).iter().map(|value| value.to_str().unwrap()).collect();
    assert!(sent.len() <= 1, "{sent:?}");
    (sent.concat(), dropped)
}

fn entries(fields: &[&str]) -> Vec<(String, String)> {
    extract(&headers(fields)).0.entries()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn what_is_right_is_carried_on_as_it_came() {
    for text in [
        "a=1",
        "key1=value1;property1;property2,key2 = value2, key3=value3; propertyKey=propertyValue",
        "userId=Am%C3%A9lie,serverNode=DF%2028,isProduction=false",
        "a=",
        "a==b=c",
        "a=100%",
        "a=1,a=2",
        "!#$%&'*+-.^_`|~0aZ=!#$%&'()*+-./:<=>?@[]^_`{|}~",
    ] {
        let (sent, dropped) = carried(&[text]);
        assert_eq!((sent.replace(' ', ""), dropped), (text.replace(' ', ""), 0));
    }
    assert_eq!(carried(&["a = 1 ; p = 2"]).0, "a = 1 ; p = 2");
}

#[test]
fn several_headers_are_one_list() {
    assert_eq!(carried(&["a=1,b=2", "", "c=3"]), ("a=1,b=2,c=3".into(), 0));
    assert_eq!(carried(&[" a=1\t,, ,b=2,"]), ("a=1,b=2".into(), 0));
    assert_eq!(carried(&[]), (String::new(), 0));
    assert_eq!(carried(&[" , "]), (String::new(), 0));
}

#[test]
fn malformed_members_are_dropped_one_by_one() {
    for wrong in [
        "a",
        "=1",
        "a b=1",
        "a=b c",
        "a=\"b\"",
        "a=b\\c",
        "a=1;",
        "a=1;;p",
        "a=1;=2",
        "a=1;p q",
        "ä=1",
        "a=ä",
        "a(=1",
        "a=1;p=\"x\"",
    ] {
        assert_eq!(carried(&["x=1", wrong, "y=2"]), ("x=1,y=2".into(), 1), "{wrong:?}");
    }
    let mut binary = headers(&["x=1"]);
    binary.append(&BAGGAGE, HeaderValue::from_bytes(b"a=\xff\xfe,y=2").unwrap());
    let (baggage, dropped) = extract(&binary);
    assert_eq!((baggage.entries(), dropped), (pairs(&[("x", "1"), ("y", "2")]), 1));
}

#[test]
fn limits_drop_whole_members() {
    let many: Vec<_> = (0..64).map(|n| format!("m{n}={n}")).collect();
    let all = many.join(",");
    assert_eq!(carried(&[&all]), (all.clone(), 0));
    assert_eq!(carried(&[&all, "more=1,most=2"]), (all, 2));

    let member = format!("a={}", "v".repeat(MAX_MEMBER - 2));
    assert_eq!(carried(&[&member]), (member.clone(), 0));
    assert_eq!(carried(&[&format!("{member}v"), "b=1"]), ("b=1".into(), 1));

    // Two of them with the comma are one byte too many; what comes later and fits is kept.
    let shorter = format!("b={}", "v".repeat(MAX_MEMBER - 3));
    assert_eq!(carried(&[&member, &member, "c=1"]), (format!("{member},c=1"), 1));
    assert_eq!(carried(&[&member, &shorter]), (format!("{member},{shorter}"), 0));
    assert_eq!(carried(&[&member, &shorter]).0.len(), MAX_BAGGAGE);
}

#[test]
fn values_are_decoded_for_who_reads() {
    let read = entries(&["userId=Am%C3%A9lie; secret , node = DF%2028,bad=%ff,half=100%,empty=,a==b"]);
    assert_eq!(
        read,
        pairs(&[
            ("userId", "Amélie"),
            ("node", "DF 28"),
            ("bad", "\u{fffd}"),
            ("half", "100%"),
            ("empty", ""),
            ("a", "=b"),
        ])
    );
}

#[test]
fn an_entry_is_set_in_place_of_all_of_its_name() {
    let (mut baggage, _) = extract(&headers(&["a=1;p,b = 2;q=%20,a=3,c=4"]));
    assert!(baggage.set("a", "ä, \"x\";\\100%"));
    assert!(baggage.set("new", ""));
    let mut out = HeaderMap::new();
    inject(&baggage, &mut out);
    assert_eq!(out["baggage"], "a=%C3%A4%2C%20%22x%22%3B%5C100%25,b = 2;q=%20,c=4,new=");
    assert_eq!(baggage.entries()[0], ("a".into(), "ä, \"x\";\\100%".into()));
    let mut empty = Baggage::default();
    assert!(empty.set("k", "line\nbreak\0") && empty.entries() == pairs(&[("k", "line\nbreak\0")]));
}

#[test]
fn what_cannot_be_set_changes_nothing() {
    let (mut baggage, _) = extract(&headers(&["a=1"]));
    let before = baggage.clone();
    for name in ["", "a b", "a=b", "a,b", "a;b", "ä", "a\n", "\"a\""] {
        assert!(!baggage.set(name, "1"), "{name:?}");
    }
    assert!(!baggage.set("b", &"v".repeat(MAX_MEMBER - 1)));
    assert!(!baggage.set("b", &" ".repeat(MAX_MEMBER / 3 + 1)), "escapes count");
    assert!(!baggage.set("b", &"v".repeat(1 << 22)));
    assert_eq!(baggage, before);

    assert!(baggage.set("b", &"v".repeat(MAX_MEMBER - 2)));
    assert!(!baggage.set("c", &"v".repeat(MAX_MEMBER - 2)), "over the whole");
    let mut many = Baggage::default();
    assert!((0..MAX_MEMBERS).all(|n| many.set(&format!("m{n}"), "")));
    assert!(!many.set("more", ""));
    assert!(many.set("m7", "again"), "replacing needs no place");
}

#[test]
fn nothing_in_it_is_shown() {
    let (baggage, _) = extract(&headers(&["token=s3cret"]));
    assert_eq!(format!("{baggage:?}"), "Baggage(12 bytes)");
}
