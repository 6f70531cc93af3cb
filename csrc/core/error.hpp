// The one exception of the C++ side; bindings translate it to Python by its kind.
#pragma once
#include <stdexcept>
#include <string>

namespace steepest {

enum class ErrorKind { type, value, backend, linalg };

class Error : public std::runtime_error {
 public:
  Error(ErrorKind error_kind, const std::string& text)
      : std::runtime_error(text), kind(error_kind) {}
  const ErrorKind kind;
};

}  // namespace steepest
