//! What a query may do: read.

use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;

/// Settings whose reading shows what the views look like, and nothing else.
const HARMLESS_PRAGMAS: [&str; 4] = ["table_info", "table_xinfo", "table_list", "function_list"];

/// Is a step of a query allowed? SQLite asks for each while it prepares one.
pub(super) fn authorize(action: &AuthAction<'_>) -> Authorization {
    let allowed = match action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => true,
        AuthAction::Function { function_name } => {
            !function_name.eq_ignore_ascii_case("load_extension")
                && !function_name.eq_ignore_ascii_case("fts3_tokenizer")
        }
        AuthAction::Pragma { pragma_name, .. } => HARMLESS_PRAGMAS
            .iter()
            .any(|name| pragma_name.eq_ignore_ascii_case(name)),
        _ => false,
    };
    match allowed {
        true => Authorization::Allow,
        false => Authorization::Deny,
    }
}

/// From here on nothing but reading, whoever asks.
pub(super) fn close(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.authorizer(Some(|context: AuthContext<'_>| authorize(&context.action)))
}
