// SPDX-License-Identifier: Apache-2.0
//
// The bodies of Boost.Asio, which every other file sees declared alone (BOOST_ASIO_SEPARATE_COMPILATION).
#include <boost/asio/impl/src.hpp>
