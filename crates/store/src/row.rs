//! Rows as plain structs, and the four statements that every table needs.
//!
//! `row!` declares a struct whose fields are the columns of one table, by name. That is all the mapping there is: no
//! type of the driver appears in what this crate offers, so that another database can stand behind it.

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row as _, TypeInfo, ValueRef};

use crate::column::{Column, Value};
use crate::{Connection, StoreError};

/// A struct that is a row of one table.
pub(crate) trait Row: Sized {
    const TABLE: &'static str;
    const COLUMNS: &'static [&'static str];

    fn values(&self) -> Result<Vec<Value>, StoreError>;
    fn read(fields: &mut Fields<'_>) -> Result<Self, StoreError>;
}

/// Declares the struct of a table's row. Every field is a column of the same name.
macro_rules! row {
    (
        $(#[$documentation:meta])*
        pub struct $name:ident in $table:literal {
            $($(#[$field_documentation:meta])* pub $field:ident: $type:ty,)*
        }
    ) => {
        $(#[$documentation])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $($(#[$field_documentation])* pub $field: $type,)*
        }

        impl $crate::row::Row for $name {
            const TABLE: &'static str = $table;
            const COLUMNS: &'static [&'static str] = &[$(stringify!($field)),*];

            fn values(&self) -> Result<Vec<$crate::column::Value>, $crate::StoreError> {
                Ok(vec![$($crate::column::Column::write(&self.$field)?),*])
            }

            fn read(fields: &mut $crate::row::Fields<'_>) -> Result<Self, $crate::StoreError> {
                Ok(Self { $($field: fields.next()?,)* })
            }
        }
    };
}
pub(crate) use row;

/// Collects the values that fill the `$1`, `$2`, … of a statement.
macro_rules! values {
    ($($value:expr),* $(,)?) => {
        vec![$($crate::column::Column::write($value)?),*]
    };
}
pub(crate) use values;

/// The columns of one row that are still to be read, from left to right.
pub(crate) struct Fields<'a> {
    row: &'a SqliteRow,
    table: &'static str,
    columns: &'static [&'static str],
    position: usize,
}

impl Fields<'_> {
    pub(crate) fn next<T: Column>(&mut self) -> Result<T, StoreError> {
        let position = self.position;
        self.position += 1;
        let column = self.columns.get(position).copied().unwrap_or("?");
        let value = value_at(self.row, position);
        value
            .and_then(T::read)
            .map_err(|expected| StoreError::Unreadable {
                table: self.table,
                column,
                expected,
            })
    }
}

fn value_at(row: &SqliteRow, position: usize) -> Result<Value, String> {
    let raw = row.try_get_raw(position).map_err(|error| error.to_string())?;
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let kind = raw.type_info().name().to_owned();
    let value = match kind.as_str() {
        "INTEGER" => row.try_get_unchecked(position).map(Value::Integer),
        "TEXT" => row.try_get_unchecked(position).map(Value::Text),
        "BLOB" => row.try_get_unchecked(position).map(Value::Blob),
        other => return Err(format!("a value of type {other}")),
    };
    value.map_err(|error| error.to_string())
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

fn query<'q>(sql: String, values: Vec<Value>) -> Query<'q> {
    // Safe: every statement is assembled from names in this crate; what users send travels in `values` alone.
    values
        .into_iter()
        .fold(sqlx::query(AssertSqlSafe(sql)), |query, value| match value {
            Value::Null => query.bind(None::<i64>),
            Value::Integer(number) => query.bind(number),
            Value::Text(text) => query.bind(text),
            Value::Blob(bytes) => query.bind(bytes),
        })
}

impl Connection {
    /// Rows of a table. `tail` is what follows `SELECT … FROM table`.
    pub(crate) async fn select<R: Row>(
        &mut self,
        tail: &str,
        values: Vec<Value>,
    ) -> Result<Vec<R>, StoreError> {
        let columns: Vec<_> = R::COLUMNS
            .iter()
            .map(|column| format!("{}.{column}", R::TABLE))
            .collect();
        self.select_from(
            &format!("SELECT {} FROM {} {tail}", columns.join(", "), R::TABLE),
            values,
        )
        .await
    }

    /// Rows of a whole statement whose columns are those of `R`, in order.
    pub(crate) async fn select_from<R: Row>(
        &mut self,
        sql: &str,
        values: Vec<Value>,
    ) -> Result<Vec<R>, StoreError> {
        let query = query(sql.to_owned(), values);
        let rows = query
            .fetch_all(self.raw())
            .await
            .map_err(|error| self.error(error))?;
        let read = |row| {
            R::read(&mut Fields {
                row,
                table: R::TABLE,
                columns: R::COLUMNS,
                position: 0,
            })
        };
        rows.iter().map(read).collect()
    }

    /// The first row of such a selection.
    pub(crate) async fn select_one<R: Row>(
        &mut self,
        tail: &str,
        values: Vec<Value>,
    ) -> Result<Option<R>, StoreError> {
        Ok(self
            .select(&format!("{tail} LIMIT 1"), values)
            .await?
            .into_iter()
            .next())
    }

    /// The first column of every row that a whole statement gives.
    pub(crate) async fn scalars<T: Column>(
        &mut self,
        sql: &str,
        values: Vec<Value>,
    ) -> Result<Vec<T>, StoreError> {
        let rows = query(sql.to_owned(), values)
            .fetch_all(self.raw())
            .await
            .map_err(|error| self.error(error))?;
        let read = |row| {
            Fields {
                row,
                table: "(expression)",
                columns: &["value"],
                position: 0,
            }
            .next()
        };
        rows.iter().map(read).collect()
    }

    /// The single number of a `SELECT count(*)`.
    pub(crate) async fn count(&mut self, sql: &str, values: Vec<Value>) -> Result<u64, StoreError> {
        Ok(self.scalars(sql, values).await?.into_iter().next().unwrap_or(0))
    }

    /// Runs a statement and says how many rows it touched.
    pub(crate) async fn execute(&mut self, sql: &str, values: Vec<Value>) -> Result<u64, StoreError> {
        self.expect_sound()?;
        let done = query(sql.to_owned(), values)
            .execute(self.raw())
            .await
            .map_err(|error| self.error(error))?;
        Ok(done.rows_affected())
    }

    /// Adds a row; `extra` fills columns that the struct does not show.
    pub(crate) async fn insert<R: Row>(
        &mut self,
        row: &R,
        extra: &[(&str, Value)],
    ) -> Result<(), StoreError> {
        let (sql, values) = insertion(row, extra)?;
        self.execute(&sql, values).await.map(drop)
    }

    /// Adds a row, or writes it over the one with the same `key` columns.
    pub(crate) async fn upsert<R: Row>(&mut self, row: &R, key: &str) -> Result<(), StoreError> {
        let (sql, values) = insertion(row, &[])?;
        let set: Vec<_> = R::COLUMNS
            .iter()
            .map(|column| format!("{column} = excluded.{column}"))
            .collect();
        self.execute(
            &format!("{sql} ON CONFLICT ({key}) DO UPDATE SET {}", set.join(", ")),
            values,
        )
        .await
        .map(drop)
    }

    /// Writes all columns of the row whose first column, its key, is the struct's. Says whether there was one.
    pub(crate) async fn update<R: Row>(&mut self, row: &R) -> Result<bool, StoreError> {
        let set: Vec<_> = R::COLUMNS
            .iter()
            .enumerate()
            .map(|(at, column)| format!("{column} = ${}", at + 1))
            .collect();
        let sql = format!(
            "UPDATE {} SET {} WHERE {} = $1",
            R::TABLE,
            set.join(", "),
            R::COLUMNS[0]
        );
        Ok(self.execute(&sql, row.values()?).await? > 0)
    }
}

fn insertion<R: Row>(row: &R, extra: &[(&str, Value)]) -> Result<(String, Vec<Value>), StoreError> {
    let mut values = row.values()?;
    let mut columns = R::COLUMNS.to_vec();
    for (column, value) in extra {
        columns.push(column);
        values.push(value.clone());
    }
    let places: Vec<_> = (1..=columns.len()).map(|place| format!("${place}")).collect();
    let sql = format!(
        "INSERT INTO {} ({}) VALUES ({})",
        R::TABLE,
        columns.join(", "),
        places.join(", ")
    );
    Ok((sql, values))
}

/// What `raw` of a [`Connection`] gives; named here so that the driver is named in two files only.
pub(crate) type RawConnection = SqliteConnection;
