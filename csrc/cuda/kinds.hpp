// What a kernel is compiled for: a rule on numbers of one type.
#pragma once
#include "core/dtype.hpp"
#include "rules/list.hpp"

namespace steepest::cuda {

using base::List;

template <class R, class Number>
struct Kind {
  using Rule = R;
  using T = Number;
};

template <class... Rules>
List<Kind<Rules, float>..., Kind<Rules, double>...> on_both_types(List<Rules...>);
using AllKinds = decltype(on_both_types(base::AllRules{}));

// The number of a rule's kind in AllKinds.
STEEPEST_HD int kind_of(int rule, DType dtype) {
  return dtype == DType::float32 ? rule : rule + base::AllRules::size;
}
constexpr int any_kind = -1;  // in place of a number: tensors are of several

// f(Kind{}) with the kind of this number, which is one of AllKinds unless Kinds is a single one.
template <class F, class Kind>
STEEPEST_HD void visit(List<Kind>, int, F&& f) {
  f(Kind{});
}
template <class F, class... Kinds>
STEEPEST_HD void visit(List<Kinds...>, int kind, F&& f) {
  int i = 0;
  ((kind == i++ ? f(Kinds{}) : void()), ...);
}

}  // namespace steepest::cuda
