// One prepared statement of SQLite: values bound in order, rows read in order.
#pragma once

#include <sqlite3.h>

#include <cstring>
#include <string>
#include <string_view>

#include "leat/base/digest.h"
#include "leat/base/result.h"

namespace leat {

class SqliteStatement {
 public:
  SqliteStatement(sqlite3* database, const char* text) : database_(database) {
    status_ = sqlite3_prepare_v2(database, text, -1, &statement_, nullptr);
  }
  SqliteStatement(const SqliteStatement&) = delete;
  SqliteStatement& operator=(const SqliteStatement&) = delete;
  ~SqliteStatement() { sqlite3_finalize(statement_); }

  SqliteStatement& bind(std::string_view text) {
    return take(sqlite3_bind_text64(statement_, ++bound_, text.data(), text.size(),
                                    SQLITE_TRANSIENT, SQLITE_UTF8));
  }
  SqliteStatement& bind(const Digest& digest) {
    return take(
        sqlite3_bind_blob64(statement_, ++bound_, digest.data(), digest.size(), SQLITE_TRANSIENT));
  }
  SqliteStatement& bind(double value) {
    return take(sqlite3_bind_double(statement_, ++bound_, value));
  }
  SqliteStatement& bind(int64_t value) {
    return take(sqlite3_bind_int64(statement_, ++bound_, value));
  }

  /// True when there is a row. Errors: io.
  Result<bool> step() {
    if (status_ == SQLITE_OK) status_ = sqlite3_step(statement_);
    column_ = 0;
    if (status_ == SQLITE_ROW) return status_ = SQLITE_OK, true;
    if (status_ == SQLITE_DONE) return false;
    return Error(ErrorKind::io, std::string("The tuning store cannot be used: ") +
                                    sqlite3_errmsg(database_) + ".");
  }
  Result<void> run() {
    while (true) {
      TRY_ASSIGN(const bool has_row, step());
      if (!has_row) return {};
    }
  }

  std::string text() {
    const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column_));
    const int size_bytes = sqlite3_column_bytes(statement_, column_++);
    return bytes == nullptr ? "" : std::string(bytes, static_cast<size_t>(size_bytes));
  }
  /// Zeros, when it is not one.
  Digest digest() {
    Digest digest = {};
    const void* bytes = sqlite3_column_blob(statement_, column_);
    if (sqlite3_column_bytes(statement_, column_++) == int{kDigestBytes}) {
      std::memcpy(digest.data(), bytes, kDigestBytes);
    }
    return digest;
  }
  double number() { return sqlite3_column_double(statement_, column_++); }
  int64_t integer() { return sqlite3_column_int64(statement_, column_++); }

 private:
  SqliteStatement& take(int status) {
    if (status_ == SQLITE_OK) status_ = status;
    return *this;
  }

  sqlite3* database_;
  sqlite3_stmt* statement_ = nullptr;
  int status_ = SQLITE_OK;
  int bound_ = 0;
  int column_ = 0;
};

}  // namespace leat
