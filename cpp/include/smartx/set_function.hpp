// What greedy asks of a set function f. Members, no virtual: the choice is made once per call.
#pragma once

#include <type_traits>
#include <utility>

#include "smartx/types.hpp"

namespace smartx {

/// A set function F holds a growing multiset S of items and has
///   using Gain = int64_t or double;  what greedy compares; larger is better
///   Item size() const;               items; each stands for rows that are equal (equal_rows.hpp)
///   Gain gain(Item v) noexcept;        f(S + v) - f(S), or something that rises and falls with it:
///                                    the same bits for the same (S, v), whenever it was asked
///                                    before. Threads may ask at once about different items
///   void add(Item v);                S becomes S + v
///   Gain risen() const;              a limit on how much any gain can have risen since S was
///                                    empty. Never falls. 0 where f is submodular and gains never
///                                    rise, not even by rounding
///   double shown(Gain) const;        a gain in the units of f's definition
///   double slack() const;            what to add to each remaining gain, so that the certificate
///                                    (certificate.hpp) holds although f is not monotone; 0 where
///                                    it is
///   Offset work(Item v) const;       about how many operations gain(v) takes, 0.25 ns each, for
///   the
///                                    choice of threads
template <class F, class = void>
struct is_set_function : std::false_type {};

template <class F>
struct is_set_function<F, std::void_t<typename F::Gain, decltype(std::declval<const F&>().size()),
                                      decltype(std::declval<const F&>().risen()),
                                      decltype(std::declval<const F&>().shown(typename F::Gain{})),
                                      decltype(std::declval<const F&>().slack()),
                                      decltype(std::declval<const F&>().work(Item{})),
                                      decltype(std::declval<F&>().add(Item{}))>>
    : std::bool_constant<noexcept(std::declval<F&>().gain(Item{}))> {};

}  // namespace smartx
