//! Converts values between Lua and SQL.

use dss_abi_v2::{Bytes, FromValue, Value, ValueError};
use rusqlite::types::{Null, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Rows, Statement};

/// A value for SQL.
pub(crate) struct Sql(rusqlite::types::Value);

impl ToSql for Sql {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

#[derive(FromValue)]
struct Blob {
    blob: Bytes,
}

impl FromValue for Sql {
    fn from_value(value: Value) -> Result<Sql, ValueError> {
        use rusqlite::types::Value::{Blob as Binary, Integer, Null, Real, Text};
        Ok(Sql(match value {
            Value::Nil => Null,
            Value::Boolean(value) => Integer(value.into()),
            Value::Integer(value) => Integer(value),
            Value::Float(value) => Real(value),
            Value::Bytes(bytes) => match String::from_utf8(bytes) {
                Ok(text) => Text(text),
                Err(error) => Binary(error.into_bytes()),
            },
            table @ Value::Map(_) => Binary(Blob::from_value(table)?.blob.0),
            other => return Err(other.unlike("a value of SQL")),
        }))
    }
}

/// A value for Lua.
pub(crate) fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Nil,
        ValueRef::Integer(value) => Value::Integer(value),
        ValueRef::Real(value) => Value::Float(value),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
    }
}

/// Identifies a parameter.
enum Place {
    /// Counted from 1.
    Number(usize),
    /// As in the statement, including its first character.
    Name(String),
}

/// The parameters of a statement.
#[derive(Default)]
pub(crate) struct Params(Vec<(Place, Sql)>);

impl FromValue for Params {
    fn from_value(value: Value) -> Result<Params, ValueError> {
        let params: Vec<(Value, Value)> = match value {
            Value::Nil => Vec::new(),
            // A table with a nil in the middle arrives as a map.
            Value::List(items) => (1..).map(Value::Integer).zip(items).collect(),
            Value::Map(entries) => entries,
            other => return Err(other.unlike("a table of parameters")),
        };
        let param = |(key, value): (Value, Value)| {
            let (place, name) = match key {
                Value::Bytes(_) => {
                    let name = String::from_value(key).map_err(|error| error.inside("a parameter's name"))?;
                    (Place::Name(name.clone()), name)
                }
                other => {
                    let number = usize::from_value(other).map_err(|error| error.inside("a parameter"))?;
                    (Place::Number(number), number.to_string())
                }
            };
            let value =
                Sql::from_value(value).map_err(|error| error.inside(format_args!("parameter {name}")))?;
            Ok((place, value))
        };
        params.into_iter().map(param).collect::<Result<_, _>>().map(Params)
    }
}

impl Params {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Binds them to a statement. All other parameters of the statement become null.
    fn bind(&self, statement: &mut Statement<'_>) -> Result<(), String> {
        let text = |error: rusqlite::Error| error.to_string();
        // A cached statement still has the parameters of its last use.
        for index in 1..=statement.parameter_count() {
            statement.raw_bind_parameter(index, Null).map_err(text)?;
        }
        for (place, value) in &self.0 {
            let index = match place {
                Place::Number(number) => {
                    Some(*number).filter(|n| (1..=statement.parameter_count()).contains(n))
                }
                Place::Name(name) => statement.parameter_index(name).map_err(text)?,
            };
            let index = index.ok_or_else(|| match place {
                Place::Number(number) => format!(
                    "there is a parameter number {number}, and the statement has {}",
                    statement.parameter_count()
                ),
                Place::Name(name) => format!("the statement has no parameter named {name}"),
            })?;
            statement.raw_bind_parameter(index, value).map_err(text)?;
        }
        Ok(())
    }
}

/// All rows of a query. Each is a table with the names of the columns as keys.
pub(crate) fn query(
    connection: &Connection,
    sql: &str,
    params: &Params,
    most: usize,
) -> Result<Vec<Value>, String> {
    let text = |error: rusqlite::Error| error.to_string();
    let mut statement = connection.prepare_cached(sql).map_err(text)?;
    let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    params.bind(&mut statement)?;
    let (mut rows, mut found): (Rows<'_>, _) = (statement.raw_query(), Vec::new());
    while let Some(row) = rows.next().map_err(text)? {
        if found.len() == most {
            return Err(format!("the query has more than {most} rows: limit it, or open with more `rows`"));
        }
        let mut entries = Vec::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            match value(row.get_ref(index).map_err(text)?) {
                Value::Nil => {}
                value => entries.push((Value::from(name.as_str()), value)),
            }
        }
        found.push(Value::Map(entries));
    }
    Ok(found)
}

/// Runs a statement to its end, or several if there are no parameters. Returns the number of changes and the number of the last row.
pub(crate) fn exec(
    connection: &Connection,
    sql: &str,
    params: Option<&Params>,
) -> Result<(u64, i64), String> {
    let text = |error: rusqlite::Error| error.to_string();
    let before = connection.total_changes();
    match params {
        None => connection.execute_batch(sql).map_err(text)?,
        Some(params) => {
            let mut statement = connection.prepare_cached(sql).map_err(text)?;
            params.bind(&mut statement)?;
            let mut rows = statement.raw_query();
            while rows.next().map_err(text)?.is_some() {}
        }
    }
    Ok((connection.total_changes() - before, connection.last_insert_rowid()))
}
