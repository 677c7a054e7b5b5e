// SPDX-License-Identifier: Apache-2.0
#include "healthcheck/sockets.h"

#include <boost/asio/error.hpp>
#include <boost/asio/ssl/error.hpp>

namespace sluice::health {

namespace asio = boost::asio;

asio::ip::address to_asio(const config::IpAddress& address) {
  const asio::ip::address_v6 v6(address.bytes);
  if (address.is_v4()) return asio::ip::make_address_v4(asio::ip::v4_mapped, v6);
  return v6;
}

config::IpAddress from_asio(const asio::ip::address& address) {
  const auto v6 = address.is_v4() ? asio::ip::make_address_v6(asio::ip::v4_mapped, address.to_v4()) : address.to_v6();
  return {.bytes = v6.to_bytes()};
}

std::string in_words(const boost::system::error_code& error) {
  if (error == asio::error::eof || error == asio::ssl::error::stream_truncated)
    return "the server closed the connection";
  if (error == asio::error::connection_reset || error == asio::error::broken_pipe)
    return "the server reset the connection";
  if (error == asio::error::connection_refused) return "connection refused";
  return error.message();
}

}  // namespace sluice::health
