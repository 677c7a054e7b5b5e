// SPDX-License-Identifier: Apache-2.0
//
// The bodies of Boost.Asio's TLS streams: apart, as sluicectl needs no OpenSSL.
#include <boost/asio/ssl/impl/src.hpp>
