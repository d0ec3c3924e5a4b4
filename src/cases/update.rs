//! Writes what was seen into a case file; comments, order and whatever is as expected stay as they are.

use std::cmp::Ordering;

use serde_json::{Map, Value as Json};
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, TableLike, Value, value};

use super::compare::{Edit, Step, relevant, written_part};
use super::pattern::Pattern;
use super::run::Outcome;
use super::seen::Span;

/// The text with the edits of all outcomes, in its own line ends; none where it stays as it is.
pub(super) fn updated(text: &str, outcomes: &[Outcome]) -> Option<String> {
    let mut document: DocumentMut = text.parse().ok()?;
    let cases = document.get_mut("case")?;
    for outcome in outcomes.iter().filter(|outcome| !outcome.edits.is_empty()) {
        if let Some(case) = case_called(cases, &outcome.name) {
            apply(case, &outcome.edits, &outcome.ids);
        }
    }
    Some(with_ends_of(text, document.to_string())).filter(|updated| updated != text)
}

/// The new text with the line ends of the old one, where those are all alike.
fn with_ends_of(old: &str, mut new: String) -> String {
    if !old.ends_with('\n') && new.ends_with('\n') {
        new.pop();
    }
    let returns = old.matches("\r\n").count();
    if returns > 0 && returns == old.matches('\n').count() {
        new = new.replace("\r\n", "\n").replace('\n', "\r\n");
    }
    new
}

fn case_called<'a>(cases: &'a mut Item, name: &str) -> Option<Node<'a>> {
    let is_it = |case: &dyn TableLike| {
        case.get("name").and_then(Item::as_str).is_some_and(|known| known.trim() == name)
    };
    match cases {
        Item::ArrayOfTables(tables) => tables.iter_mut().find(|case| is_it(*case)).map(Node::Table),
        Item::Value(Value::Array(list)) => list
            .iter_mut()
            .find(|case| case.as_inline_table().is_some_and(|case| is_it(case)))
            .map(Node::Value),
        _ => None,
    }
}

/// Values first, which move nothing; then what is taken out, the last of each list first; then what is added.
fn apply(mut case: Node<'_>, edits: &[Edit], ids: &[String]) {
    let mut removed = Vec::new();
    let mut added = Vec::new();
    for edit in edits {
        match edit {
            Edit::Set(path, value) => set(case.again(), path, toml(&without_null(path, pattern(value, ids)))),
            Edit::Any(path) => set(case.again(), path, Some("*".into())),
            Edit::Times(path, count) => times(case.again(), path, *count),
            Edit::RemoveText(path, text) => remove_text(case.again(), path, text),
            Edit::Json { at, differences, whole } => json(case.again(), at, differences, whole, ids),
            Edit::Remove(path) => removed.push(path),
            Edit::Append(path, span) => added.push((path, span)),
        }
    }
    removed.sort_by(|one, other| place_of(other, one));
    removed.into_iter().for_each(|path| remove(case.again(), path));
    added.into_iter().for_each(|(path, span)| append(case.again(), path, span, ids));
}

/// Which of two places comes later.
fn place_of(one: &[Step], other: &[Step]) -> Ordering {
    for pair in one.iter().zip(other) {
        let order = match pair {
            (Step::At(one), Step::At(other)) => one.cmp(other),
            (Step::Key(one), Step::Key(other)) => one.cmp(other),
            _ => Ordering::Equal,
        };
        if order.is_ne() {
            return order;
        }
    }
    one.len().cmp(&other.len())
}

/// A place in a document.
enum Node<'a> {
    Item(&'a mut Item),
    Table(&'a mut Table),
    Value(&'a mut Value),
}

impl<'a> Node<'a> {
    /// This place again, borrowed for a while.
    fn again(&mut self) -> Node<'_> {
        match self {
            Self::Item(item) => Node::Item(item),
            Self::Table(table) => Node::Table(table),
            Self::Value(value) => Node::Value(value),
        }
    }

    fn table(self) -> Option<&'a mut dyn TableLike> {
        match self {
            Self::Item(item) => item.as_table_like_mut(),
            Self::Table(table) => Some(table),
            Self::Value(value) => value.as_inline_table_mut().map(|table| table as &mut dyn TableLike),
        }
    }

    fn step(self, step: &Step) -> Option<Node<'a>> {
        match step {
            Step::Key(key) => {
                let table = self.table()?;
                let key = key_of(table, key)?;
                table.get_mut(&key).map(Node::Item)
            }
            Step::At(at) => match self {
                Self::Item(Item::ArrayOfTables(tables)) => tables.get_mut(*at).map(Node::Table),
                Self::Item(Item::Value(Value::Array(list))) | Self::Value(Value::Array(list)) => {
                    list.get_mut(*at).map(Node::Value)
                }
                _ => None,
            },
        }
    }

    fn walk(self, path: &[Step]) -> Option<Node<'a>> {
        path.iter().try_fold(self, |node, step| node.step(step))
    }
}

/// A key as the table writes it: names of headers know no case.
fn key_of(table: &dyn TableLike, key: &str) -> Option<String> {
    if table.contains_key(key) {
        return Some(key.to_owned());
    }
    table.iter().map(|(known, _)| known).find(|known| known.eq_ignore_ascii_case(key)).map(str::to_owned)
}

fn set(case: Node<'_>, path: &[Step], new: Option<Value>) {
    let (Some((last, parent)), Some(mut new)) = (path.split_last(), new) else { return };
    let Some(parent) = case.walk(parent) else { return };
    match last {
        Step::Key(key) => {
            let Some(table) = parent.table() else { return };
            let key = key_of(table, key).unwrap_or_else(|| key.clone());
            match table.get_mut(&key) {
                // Where it stands and what is said beside it stay.
                Some(Item::Value(old)) => {
                    *new.decor_mut() = old.decor().clone();
                    *old = new;
                }
                Some(other) => *other = value(new),
                None => {
                    table.insert(&key, value(new));
                }
            }
        }
        Step::At(at) => match parent {
            Node::Item(Item::Value(Value::Array(list))) | Node::Value(Value::Array(list)) => {
                if let Some(old) = list.get_mut(*at) {
                    *new.decor_mut() = old.decor().clone();
                    *old = new;
                }
            }
            Node::Item(Item::ArrayOfTables(tables)) => {
                if let (Some(old), Value::InlineTable(new)) = (tables.get_mut(*at), named(new)) {
                    old.clear();
                    new.into_iter().for_each(|(key, one)| drop(old.insert(&key, value(one))));
                }
            }
            _ => {}
        },
    }
}

/// An element that is written as its name alone, as a table.
fn named(short: Value) -> Value {
    match short {
        Value::String(name) => {
            let mut table = InlineTable::new();
            table.insert("name", Value::String(name));
            table.into()
        }
        other => other,
    }
}

fn times(case: Node<'_>, path: &[Step], count: usize) {
    let Some(node) = case.walk(path) else { return };
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let short = match node {
        Node::Item(Item::Value(short @ Value::String(_))) | Node::Value(short @ Value::String(_)) => short,
        node => {
            let Some(table) = node.table() else { return };
            table.remove("at-least");
            table.remove("at-most");
            table.insert("times", value(count));
            return;
        }
    };
    let decor = short.decor().clone();
    let mut long = named(std::mem::replace(short, Value::from(0)));
    if let Some(table) = long.as_inline_table_mut() {
        table.iter_mut().for_each(|(_, value)| value.decor_mut().clear());
        table.insert("times", count.into());
        table.fmt();
    }
    *long.decor_mut() = decor;
    *short = long;
}

fn remove(mut case: Node<'_>, path: &[Step]) {
    let Some((last, way)) = path.split_last() else { return };
    let Some(parent) = case.again().walk(way) else { return };
    let mut is_empty = false;
    match (last, parent) {
        (Step::Key(key), parent) => {
            if let Some(table) = parent.table()
                && let Some(key) = key_of(table, key)
            {
                table.remove(&key);
                is_empty = table.is_empty();
            }
        }
        (Step::At(at), Node::Item(Item::ArrayOfTables(tables))) if *at < tables.len() => {
            tables.remove(*at);
            is_empty = tables.is_empty();
        }
        (Step::At(at), Node::Item(Item::Value(Value::Array(list))) | Node::Value(Value::Array(list)))
            if *at < list.len() =>
        {
            list.remove(*at);
            is_empty = list.is_empty();
        }
        _ => {}
    }
    // Of these, none at all would say that there is to be none.
    let is_list = |key: &str| matches!(key, "attributes" | "headers" | "events" | "links" | "log");
    if is_empty && matches!(way.last(), Some(Step::Key(key)) if is_list(key)) {
        remove(case, way);
    }
}

fn remove_text(case: Node<'_>, path: &[Step], text: &str) {
    let Some(Node::Item(item)) = case.walk(path) else { return };
    match item {
        Item::Value(Value::Array(list)) => {
            list.retain(|one| one.as_str().is_none_or(|known| !known.eq_ignore_ascii_case(text)));
        }
        Item::Value(Value::String(_)) => *item = value(Array::new()),
        _ => {}
    }
}

fn json(
    mut case: Node<'_>,
    at: &[Step],
    differences: &[(Vec<Step>, Option<Json>)],
    whole: &Json,
    ids: &[String],
) {
    let whole = &pattern(whole, ids);
    let is_text = match case.again().walk(at) {
        Some(Node::Item(item)) => item.is_str(),
        _ => return,
    };
    if is_text || toml(whole).is_none() {
        return set(case, at, Some(whole.to_string().into()));
    }
    for (path, came) in differences {
        let path = [at, path].concat();
        match came {
            Some(came) => set(case.again(), &path, toml(&pattern(came, ids))),
            None => remove(case.again(), &path),
        }
    }
}

/// Adds a span to a list that may not be there, or be written in any of the forms of a list or of one span.
fn append(case: Node<'_>, path: &[Step], span: &Span, ids: &[String]) {
    let Some((Step::Key(key), parent)) = path.split_last() else { return };
    let Some(parent) = case.walk(parent) else { return };
    let Json::Object(span) = nulls_open(pattern(&json_of(span), ids)) else { return };
    let is_block = matches!(&parent, Node::Table(_) | Node::Item(Item::Table(_)));
    let Some(parent) = parent.table() else { return };
    let is_empty = |item: &Item| item.as_array().is_some_and(Array::is_empty);
    let Some(item) = parent.get_mut(key).filter(|item| !(is_block && is_empty(item))) else {
        let first = if is_block {
            Item::Table(table_of(&span))
        } else {
            value(Array::from_iter(toml(&Json::Object(span))))
        };
        parent.remove(key);
        parent.insert(key, first);
        return;
    };
    *item = match std::mem::take(item) {
        Item::ArrayOfTables(mut tables) => {
            tables.push(table_of(&span));
            Item::ArrayOfTables(tables)
        }
        Item::Table(first) => {
            let mut tables = ArrayOfTables::new();
            tables.push(first);
            tables.push(table_of(&span));
            Item::ArrayOfTables(tables)
        }
        Item::Value(Value::Array(mut list)) => {
            list.extend(toml(&Json::Object(span)));
            value(list)
        }
        Item::Value(mut first) => {
            first.decor_mut().clear();
            value(Array::from_iter([Some(first), toml(&Json::Object(span))].into_iter().flatten()))
        }
        Item::None => Item::None,
    };
}

/// A span as a table with its children below it.
fn table_of(span: &Map<String, Json>) -> Table {
    let mut table = Table::new();
    let mut entries: Vec<_> = span.iter().collect();
    entries.sort_by_key(|(key, _)| rank(key));
    for (key, one) in entries {
        match one {
            Json::Array(children) if key == "children" => {
                let tables = children.iter().filter_map(Json::as_object).map(table_of);
                table.insert(key, Item::ArrayOfTables(tables.collect()));
            }
            one => {
                if let Some(one) = toml(one) {
                    table.insert(key, value(one));
                }
            }
        }
    }
    table
}

/// A span as a case would expect it.
fn json_of(span: &Span) -> Json {
    let mut entries = Map::new();
    entries.insert("name".to_owned(), span.name.clone().into());
    entries.insert("kind".to_owned(), span.kind.into());
    if span.status != "unset" {
        entries.insert("status".to_owned(), span.status.into());
    }
    let attributes: Map<_, _> = relevant(span).into_iter().collect();
    if !attributes.is_empty() {
        entries.insert("attributes".to_owned(), attributes.into());
    }
    if !span.events.is_empty() {
        entries.insert(
            "events".to_owned(),
            span.events.iter().map(|event| written_part("name", event)).collect(),
        );
    }
    if !span.children.is_empty() {
        entries.insert("children".to_owned(), span.children.iter().map(json_of).collect());
    }
    entries.into()
}

/// JSON in which each text is a pattern that stands for it, with a star for each of these ids.
fn pattern(json: &Json, ids: &[String]) -> Json {
    match json {
        Json::String(text) => {
            let text = Pattern::escape(text);
            ids.iter().fold(text, |text, id| text.replace(&**id, "*")).into()
        }
        Json::Array(list) => list.iter().map(|one| pattern(one, ids)).collect(),
        Json::Object(entries) => {
            Json::Object(entries.iter().map(|(key, one)| (key.clone(), pattern(one, ids))).collect())
        }
        plain => plain.clone(),
    }
}

/// A value with other words for null, for which TOML has none.
fn without_null(path: &[Step], mut value: Json) -> Json {
    if !matches!(path, [Step::Key(key)] if key == "response") {
        return nulls_open(value);
    }
    // A body says null in JSON's own words, as a text.
    if let Some(json) = value.get_mut("json").filter(|json| toml(json).is_none()) {
        *json = json.to_string().into();
    }
    value
}

/// A value with the pattern for any value in place of null: that of an attribute without a value.
fn nulls_open(value: Json) -> Json {
    match value {
        Json::Null => "*".into(),
        Json::Array(list) => list.into_iter().map(nulls_open).collect(),
        Json::Object(entries) => entries.into_iter().map(|(key, one)| (key, nulls_open(one))).collect(),
        plain => plain,
    }
}

/// Keys that come first, in this order: JSON keeps none.
const FIRST: [&str; 6] = ["name", "trace", "kind", "status", "severity", "headers"];

fn rank(key: &str) -> usize {
    FIRST.iter().position(|first| *first == key).unwrap_or(FIRST.len())
}

/// The longest text that is written on one line whatever stands in it.
const MAX_LINE: usize = 200;

/// A text, on one line unless it is a long one of several.
fn text_of(text: &str) -> Value {
    // What JSON has in quotes TOML reads, too.
    let quoted = (text.len() <= MAX_LINE).then(|| Json::from(text).to_string().parse().ok()).flatten();
    quoted.unwrap_or_else(|| text.into())
}

/// JSON as TOML; none for what has null in it.
fn toml(json: &Json) -> Option<Value> {
    Some(match json {
        Json::Null => return None,
        Json::Bool(one) => (*one).into(),
        Json::Number(number) => match number.as_i64() {
            Some(int) => int.into(),
            None => number.as_f64()?.into(),
        },
        Json::String(text) => text_of(text),
        Json::Array(list) => {
            let mut array: Array = list.iter().map(toml).collect::<Option<_>>()?;
            array.fmt();
            array.into()
        }
        Json::Object(entries) => {
            let mut table = InlineTable::new();
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by_key(|(key, _)| rank(key));
            for (key, one) in entries {
                table.insert(key, toml(one)?);
            }
            table.fmt();
            table.into()
        }
    })
}
