// SPDX-License-Identifier: Apache-2.0
//
// Between our addresses and Boost.Asio's, and its errors in an operator's words.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/system/error_code.hpp>
#include <string>

#include "config/model.h"

namespace sluice::health {

boost::asio::ip::address to_asio(const config::IpAddress& address);
config::IpAddress from_asio(const boost::asio::ip::address& address);

/// "connection refused", "the server reset the connection", ...
std::string in_words(const boost::system::error_code& error);

}  // namespace sluice::health
