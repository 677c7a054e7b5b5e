// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "config/load.h"
#include "controlplane/fleet/etcd_messages.h"
#include "controlplane/fleet/node_report.h"
#include "controlplane/fleet/registrations.h"
#include "tests/fuzz/inputs.h"

namespace sluice::testing {

namespace {

using namespace control;

void expect_words(const std::string& text) {
  EXPECT_FALSE(text.empty());
  for (const char c : text) EXPECT_FALSE(c >= 0 && c < ' ') << text;
}

template <typename T>
void expect_read_or_words(const etcd::Answer<T>& answer) {
  if (!answer) expect_words(answer.error());
}

void expect_members_or_faults(const std::vector<etcd::Record>& records) {
  for (const auto& [pool, members] : documents_from(records, "/backends/")) {
    if (!members.fault.empty()) {
      expect_words(members.fault);
      EXPECT_TRUE(members.fault.starts_with("/backends/")) << members.fault;
      continue;
    }
    const auto read = config::read_backends("document", members.document);
    ASSERT_TRUE(read) << read.error().front();
    EXPECT_FALSE(read->empty() && members.leaving.empty());
  }
}

void play_listing(const std::string& text) {
  const auto listing = etcd::listing_from(text);
  expect_read_or_words(listing);
  if (!listing) return;
  EXPECT_NE(listing->at.cluster, 0U);
  EXPECT_GT(listing->at.revision, 0);
  for (const etcd::Record& record : listing->records)
    EXPECT_EQ(etcd::from_base64(etcd::to_base64(record.value)), record.value);
  expect_members_or_faults(listing->records);
}

/// The events of a watch, and "end" where it ends or is refused.
std::string heard(const std::string& text, size_t cut) {
  etcd::WatchReader reader;
  std::string out;
  for (const std::string& part : {text.substr(0, cut), text.substr(cut)}) {
    const auto messages = reader.take(part);
    if (!messages) {
      expect_words(messages.error());
      return "refused";
    }
    for (const etcd::WatchMessage& message : *messages) out += std::to_string(message.events) + message.end + ";";
  }
  return out;
}

}  // namespace

void play_etcd(FuzzInput bytes) {
  if (bytes.empty()) return;
  const std::string text = text_of(bytes.subspan(1));
  switch (bytes.front() % 6) {
    case 0:
      return play_listing(text);
    case 1:
      expect_read_or_words(etcd::granted_from(text));
      return expect_read_or_words(etcd::kept_from(text));
    case 2:
      return expect_words(etcd::refusal_from(bytes.front(), text).words);
    case 3:
      EXPECT_EQ(heard(text, 0), heard(text, text.size() / 2));
      return;
    case 4: {
      const auto report = report_from({"/nodes/a", text, 1}, "/nodes/");
      if (!report) return expect_words(report.error());
      const auto again = report_from({"/nodes/a", to_text(*report), 1}, "/nodes/");
      ASSERT_TRUE(again);
      EXPECT_EQ(*again, *report);
      return;
    }
    default:
      return expect_members_or_faults({{"/backends/mta/a", text, 1}});
  }
}

}  // namespace sluice::testing
