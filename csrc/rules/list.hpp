// The list of rules, from which all that is made once a rule is made: kernels and bindings.
#pragma once
#include <type_traits>

#include "rules/adadelta.hpp"
#include "rules/adagrad.hpp"
#include "rules/adam.hpp"
#include "rules/adamax.hpp"
#include "rules/adamw.hpp"
#include "rules/amsgrad.hpp"
#include "rules/lion.hpp"
#include "rules/momentum.hpp"
#include "rules/nadam.hpp"
#include "rules/nesterov.hpp"
#include "rules/radam.hpp"
#include "rules/rmsprop.hpp"
#include "rules/sgd.hpp"
#include "rules/traffic.hpp"

namespace steepest::STEEPEST_LEVEL {

template <class... Rules>
struct List {
  static constexpr int size = sizeof...(Rules);
};

using AllRules = List<Sgd,                                                                 //
                      Momentum, MomentumUnscaled,                                          //
                      Nesterov, NesterovUnscaled,                                          //
                      RmsProp, RmsPropMomentum, RmsPropCentered, RmsPropCenteredMomentum,  //
                      Adam,                                                                //
                      AmsGrad,                                                             //
                      AdamW, AmsGradW,                                                     //
                      Adagrad,                                                             //
                      Adadelta,                                                            //
                      AdaMax,                                                              //
                      NAdam,                                                               //
                      RAdam,                                                               //
                      Lion,                                                                //
                      Traffic0, Traffic1, Traffic2, Traffic3, Traffic4>;

// Whether a rule carries a scalar from step to step beside its arrays.
template <class Rule, class = void>
struct HasScalar : std::false_type {};
template <class Rule>
struct HasScalar<Rule, std::void_t<decltype(Rule::scalar)>> : std::true_type {};

// A rule's constants for step t; scalar is brought up to date where the rule has one.
template <class Rule, class T>
STEEPEST_HD typename Rule::template Hyper<T> fold(const typename Rule::Given& x, int64_t t,
                                                  double& scalar) {
  if constexpr (HasScalar<Rule>::value)
    return Rule::template fold<T>(x, t, scalar);
  else
    return Rule::template fold<T>(x, t);
}

}  // namespace steepest::STEEPEST_LEVEL
