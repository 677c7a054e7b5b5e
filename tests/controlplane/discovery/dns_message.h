// SPDX-License-Identifier: Apache-2.0
//
// Answers of the DNS, made byte by byte (RFC 1035 section 4).
#pragma once

#include <arpa/nameser.h>

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace sluice::control {

class DnsMessage {
 public:
  /// An answer to a question for `name`, of `id`.
  DnsMessage(uint16_t id, const std::string& name, int type, int rcode = 0) {
    put16(id);
    put16(static_cast<uint16_t>(0x8180 | rcode));
    put16(1);
    for (int i = 0; i < 3; i++) put16(0);
    put_name(name);
    put16(static_cast<uint16_t>(type));
    put16(ns_c_in);
  }

  void add_a(const std::string& name, uint32_t ttl, std::array<uint8_t, 4> address) {
    begin(name, ns_t_a, ttl, address.size());
    bytes_.insert(bytes_.end(), address.begin(), address.end());
  }
  void add_aaaa(const std::string& name, uint32_t ttl, std::array<uint8_t, 16> address) {
    begin(name, ns_t_aaaa, ttl, address.size());
    bytes_.insert(bytes_.end(), address.begin(), address.end());
  }
  void add_alias(const std::string& name, uint32_t ttl, const std::string& to) {
    begin(name, ns_t_cname, ttl, to.size() + 2);
    put_name(to);
  }
  void add_srv(const std::string& name, uint32_t ttl, uint16_t priority, uint16_t weight, uint16_t port,
               const std::string& target) {
    begin(name, ns_t_srv, ttl, 6 + (target.empty() ? 1 : target.size() + 2));
    put16(priority);
    put16(weight);
    put16(port);
    put_name(target);
  }

  /// Any other record, by its data.
  void add(const std::string& name, int type, uint32_t ttl, const std::string& data) {
    begin(name, type, ttl, data.size());
    bytes_.insert(bytes_.end(), data.begin(), data.end());
  }
  /// What the authority of `zone` says of how long an absence holds. Nothing can be added after it.
  void add_soa(const std::string& zone, uint32_t ttl, uint32_t minimum) {
    constexpr size_t kRest = 2 + 5 * 4;  // two names that are the root, five numbers
    begin(zone, ns_t_soa, ttl, kRest);
    std::swap(bytes_[7], bytes_[9]);  // it stands among the authorities, not the answers
    bytes_.insert(bytes_.end(), kRest - 4, 0);
    put16(static_cast<uint16_t>(minimum >> 16));
    put16(static_cast<uint16_t>(minimum));
  }
  /// The resolver holds it for authentic.
  void set_authentic() { bytes_[3] |= 0x20; }

  const std::vector<uint8_t>& bytes() const { return bytes_; }

 private:
  void begin(const std::string& name, int type, uint32_t ttl, size_t length) {
    constexpr size_t kAnswers = 7;  // the low byte of how many
    bytes_[kAnswers]++;
    put_name(name);
    put16(static_cast<uint16_t>(type));
    put16(ns_c_in);
    put16(static_cast<uint16_t>(ttl >> 16));
    put16(static_cast<uint16_t>(ttl));
    put16(static_cast<uint16_t>(length));
  }
  void put16(uint16_t value) {
    bytes_.push_back(static_cast<uint8_t>(value >> 8));
    bytes_.push_back(static_cast<uint8_t>(value));
  }
  void put_name(const std::string& name) {
    for (size_t at = 0; at < name.size();) {
      const size_t end = std::min(name.find('.', at), name.size());
      bytes_.push_back(static_cast<uint8_t>(end - at));
      bytes_.insert(bytes_.end(), name.begin() + static_cast<ptrdiff_t>(at),
                    name.begin() + static_cast<ptrdiff_t>(end));
      at = end + 1;
    }
    bytes_.push_back(0);
  }

  std::vector<uint8_t> bytes_;
};

}  // namespace sluice::control
