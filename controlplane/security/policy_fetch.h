// SPDX-License-Identifier: Apache-2.0
//
// Fetches the policy of a domain (RFC 8461 section 3.3): over HTTPS from mta-sts.DOMAIN, whose certificate is verified;
// no redirect is followed, nothing longer than 64 KiB is read, and everything has a deadline.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ssl/context.hpp>
#include <chrono>
#include <cstdint>
#include <expected>
#include <memory>
#include <string>

#include "config/endpoint.h"
#include "controlplane/security/certificate_chain.h"

namespace sluice::control {

inline constexpr size_t kMostPolicyBytes = 64UL << 10;
inline constexpr std::chrono::seconds kPolicyDeadline{20};  // for all of it but the name's lookup

using PolicyTls = std::shared_ptr<boost::asio::ssl::context>;

/// TLS 1.2 and up, with those authorities.
PolicyTls policy_tls(const CertificateStore& authorities);

/// Where the policy of a domain is.
config::Endpoint policy_host(const std::string& domain);

/// The policy's text. The error says what came instead.
boost::asio::awaitable<std::expected<std::string, std::string>> fetch_policy(config::Endpoint host, PolicyTls tls);

}  // namespace sluice::control
