// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <array>

#include "config/bounds.h"
#include "config/load.h"
#include "controlplane/discovery/dns_records.h"
#include "tests/fuzz/inputs.h"

namespace sluice::testing {

namespace {

using config::DnsType;

void expect_members_or_faults(const std::string& document) {
  const auto read = config::read_backends("document", document);
  if (!read) {
    ASSERT_FALSE(read.error().empty());
    for (const std::string& fault : read.error()) {
      EXPECT_TRUE(fault.starts_with("document: ")) << fault;
      for (const char c : fault) EXPECT_FALSE(c >= 0 && c < ' ') << fault;
    }
    return;
  }
  for (const config::Backend& backend : *read) {
    EXPECT_FALSE(backend.name.empty());
    EXPECT_LE(backend.name.size(), config::kMaxNameBytes);
    EXPECT_NE(backend.address, config::IpAddress{});
    EXPECT_NE(backend.port, std::optional<uint16_t>(0));
    EXPECT_LE(backend.weight, 65535U);
  }
}

void play_message(FuzzInput message) {
  constexpr std::array kTypes = {DnsType::kA, DnsType::kAaaa, DnsType::kSrv};
  for (const DnsType type : kTypes) {
    const auto records = control::records_from(message, type);
    if (!records) continue;
    EXPECT_LE(records->size(), message.size()) << "a record takes more than a byte";
    if (type != DnsType::kSrv) {
      expect_members_or_faults(control::document_of(*records));
      continue;
    }
    std::map<std::string, control::DnsRecords> addresses;
    for (const control::DnsRecord& service : *records) {
      control::DnsRecord address;
      address.address = *config::IpAddress::parse("10.0.1.1");
      addresses[service.target] = {address};
    }
    const auto document = control::document_of(*records, addresses);
    ASSERT_TRUE(document) << document.error();
    expect_members_or_faults(*document);
  }
}

}  // namespace

void play_discovery(FuzzInput bytes) {
  if (bytes.empty()) return;
  if (bytes.front() == '{') return expect_members_or_faults(text_of(bytes));
  play_message(bytes.subspan(1));
}

}  // namespace sluice::testing
