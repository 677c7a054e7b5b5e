// SPDX-License-Identifier: Apache-2.0
//
// The bodies of Boost.Beast, which every other file sees declared alone (BOOST_BEAST_SEPARATE_COMPILATION).
#include <boost/beast/src.hpp>
