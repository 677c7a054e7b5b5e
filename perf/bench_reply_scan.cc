// SPDX-License-Identifier: Apache-2.0
//
// What watching SMTP costs, beside what libraries would cost for the same, in the same run:
//   replies:  our reader, Hyperscan (one scan a segment, a pattern a class of code), std::regex (line by line);
//   reasons:  Hyperscan as the observer uses it, a search for one phrase after the other;
//   sessions: every packet of whole sessions through the observer, as a worker calls it, and with watching off.
#include <benchmark/benchmark.h>
#include <hs.h>
#include <string.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <regex>
#include <string>
#include <vector>

#include "dataplane/smtp/observer.h"
#include "dataplane/smtp/refusal_reason.h"

namespace sluice::perf {
namespace {

/// What servers send, a segment each, about as often as they do.
const std::vector<std::string> kReplySegments{
    "220 mx.example.net ESMTP Postfix (Debian/GNU)\r\n",
    "250-mx.example.net\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250-VRFY\r\n250-ETRN\r\n250-STARTTLS\r\n"
    "250-ENHANCEDSTATUSCODES\r\n250-8BITMIME\r\n250-DSN\r\n250-SMTPUTF8\r\n250 CHUNKING\r\n",
    "250 2.1.0 Ok\r\n",
    "250 2.1.5 Ok\r\n",
    "250 2.1.5 Ok\r\n",
    "354 End data with <CR><LF>.<CR><LF>\r\n",
    "250 2.0.0 Ok: queued as 4XyZ1234567890\r\n",
    "221 2.0.0 Bye\r\n",
    "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n250 2.1.5 Ok\r\n354 End data with <CR><LF>.<CR><LF>\r\n",
    "250 2.0.0 Ok: queued as 4XyZ1234567891\r\n221 2.0.0 Bye\r\n",
    "550 5.1.1 <someone@example.net>: Recipient address rejected: User unknown in local recipient table\r\n",
    "421 4.7.0 mx.example.net Error: too many connections from 192.0.2.1\r\n",
};
constexpr uint64_t kRepliesInSegments = 16;  // last lines among them
/// So far beyond a text Hyperscan 5.4 may read, with AVX-512 VBMI (vectorscan issue 322).
constexpr size_t kReadAhead = 64;

const std::vector<std::string> kRefusals{
    "550 5.1.1 <someone@example.net>: Recipient address rejected: User unknown in local recipient table\r\n",
    "421 Too many concurrent SMTP connections; please try again later.\r\n",
    "450 4.7.1 <someone@example.net>: Recipient address rejected: Greylisted, see http://postgrey.example\r\n",
    "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org\r\n",
    "451 4.3.0 <someone@example.net>: Temporary lookup failure\r\n",
};

void check_replies(benchmark::State& state, uint64_t found) {
  if (found != state.iterations() * kRepliesInSegments) state.SkipWithError("a reply was missed");
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kRepliesInSegments));
}

void replies_by_reader(benchmark::State& state) {
  uint64_t found = 0, sum = 0;
  for (auto _ : state) {
    for (const std::string& segment : kReplySegments) {
      const auto* at = reinterpret_cast<const uint8_t*>(segment.data());
      const auto* end = at + segment.size();
      ReplyLine line;
      const uint8_t* begin;
      while (read_reply(at, end, line, begin) == ReplyResult::kReply) {
        found++;
        sum += line.code + line.subject;
        line = ReplyLine{};
      }
    }
  }
  benchmark::DoNotOptimize(sum);
  check_replies(state, found);
}
BENCHMARK(replies_by_reader);

void replies_by_hyperscan(benchmark::State& state) {
  // The least that could move phases and count: which class, and the codes that mean something by themselves.
  constexpr std::array<const char*, 8> kPatterns{
      "^2[0-5][0-9][ \\r\\n]", "^3[0-5][0-9][ \\r\\n]", "^4[0-5][0-9][ \\r\\n]", "^5[0-5][0-9][ \\r\\n]",
      "^220[ \\r\\n]",         "^221[ \\r\\n]",         "^354[ \\r\\n]",         "^421[ \\r\\n]"};
  std::array<unsigned, 8> flags, ids;
  for (unsigned i = 0; i < flags.size(); i++) {
    flags[i] = HS_FLAG_MULTILINE;
    ids[i] = i;
  }
  hs_database_t* database = nullptr;
  hs_compile_error_t* error = nullptr;
  hs_scratch_t* scratch = nullptr;
  if (hs_compile_multi(kPatterns.data(), flags.data(), ids.data(), kPatterns.size(), HS_MODE_BLOCK, nullptr, &database,
                       &error) != HS_SUCCESS ||
      hs_alloc_scratch(database, &scratch) != HS_SUCCESS) {
    return state.SkipWithError("Hyperscan does not work here");
  }
  uint64_t found = 0;
  const auto note = [](unsigned id, unsigned long long, unsigned long long, unsigned, void* context) {
    if (id < 4) ++*static_cast<uint64_t*>(context);
    return 0;
  };
  std::vector<std::string> padded;
  for (const std::string& segment : kReplySegments) padded.push_back(segment + std::string(kReadAhead, '\0'));
  for (auto _ : state) {
    for (const std::string& segment : padded) {
      const auto bytes = static_cast<unsigned>(segment.size() - kReadAhead);
      hs_scan(database, segment.data(), bytes, 0, scratch, note, &found);
    }
  }
  check_replies(state, found);
  hs_free_scratch(scratch);
  hs_free_database(database);
}
BENCHMARK(replies_by_hyperscan);

void replies_by_regex(benchmark::State& state) {
  const std::regex pattern("^([2-5][0-5][0-9])(?:([ -])(?:([245])\\.(\\d{1,3})\\.(\\d{1,3})(?: |$))?[^\\r\\n]*)?\\r?$",
                           std::regex::optimize);
  uint64_t found = 0;
  std::cmatch match;
  for (auto _ : state) {
    for (const std::string& segment : kReplySegments) {
      const char* at = segment.data();
      const char* end = at + segment.size();
      while (at != end) {
        const auto* newline = static_cast<const char*>(memchr(at, '\n', static_cast<size_t>(end - at)));
        if (std::regex_match(at, newline, match, pattern) && match[2].matched && *match[2].first == ' ') found++;
        at = newline + 1;
      }
    }
  }
  check_replies(state, found);
}
BENCHMARK(replies_by_regex);

void reasons_by_hyperscan(benchmark::State& state) {
  const RefusalReasons reasons;
  uint64_t sum = 0;
  for (auto _ : state) {
    for (const std::string& line : kRefusals) {
      sum += static_cast<uint64_t>(
          reasons.classify(reinterpret_cast<const uint8_t*>(line.data()), static_cast<uint32_t>(line.size())));
    }
  }
  benchmark::DoNotOptimize(sum);
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kRefusals.size()));
}
BENCHMARK(reasons_by_hyperscan);

void reasons_phrase_by_phrase(benchmark::State& state) {
  // Fewer than the patterns stand for, as they have alternatives within.
  constexpr std::array kPhrases{"shutting down",   "going down",     "under maintenance",  "not accepting",
                                "no smtp service", "greylist",       "graylist",           "rate limit",
                                "throttl",         "too many",       "exceeded",           "too much load",
                                "load average",    "ports are busy", "system resources",   "insufficient",
                                "out of memory",   "unavailable",    "not available",      "too busy",
                                "queue full",      "user unknown",   "unknown user",       "no such",
                                "unrouteable",     "does not exist", "recipient unknown",  "not found",
                                "no mailbox here", "blocked",        "blacklist",          "spamhaus",
                                "dnsbl",           "listed at",      "reputation",         "spam",
                                "access denied",   "relay denied",   "client host reject", "blocklist"};
  uint64_t sum = 0;
  for (auto _ : state) {
    for (const std::string& line : kRefusals) {
      for (const char* phrase : kPhrases) sum += strcasestr(line.c_str(), phrase) != nullptr;
    }
  }
  benchmark::DoNotOptimize(sum);
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kRefusals.size()));
}
BENCHMARK(reasons_phrase_by_phrase);

/// A packet of a session as the worker would hand it on.
struct Step {
  bool from_client;
  Packet packet;
  std::string payload;
  TcpState after;  // the flow's state
};

/// Writes sessions down packet by packet, with the bare ACKs that TCP adds.
class Script {
 public:
  Script() {
    add(true, "", kTcpSyn, TcpState::kSynSent);
    add(false, "", kTcpSyn | kTcpAck, TcpState::kSynReceived);
    add(true, "", kTcpAck, TcpState::kEstablished);
  }

  Script& client(const std::string& text) { return say(true, text); }
  Script& server(const std::string& text) { return say(false, text); }

  std::vector<Step> finish() {
    add(false, "", kTcpFin | kTcpAck, TcpState::kServerFin);
    add(true, "", kTcpFin | kTcpAck, TcpState::kClosed);
    add(false, "", kTcpAck, TcpState::kClosed);
    return steps_;
  }

 private:
  static constexpr size_t kSegment = 1448;

  Script& say(bool from_client, const std::string& text) {
    for (size_t at = 0; at < text.size(); at += kSegment) {
      const bool last = at + kSegment >= text.size();
      add(from_client, text.substr(at, kSegment), last ? kTcpPsh | kTcpAck : kTcpAck, TcpState::kEstablished);
      if (at / kSegment % 2 == 1) add(!from_client, "", kTcpAck, TcpState::kEstablished);
    }
    return *this;
  }

  void add(bool from_client, std::string payload, uint8_t flags, TcpState after) {
    Packet packet{};
    uint32_t& next = from_client ? client_next_ : server_next_;
    packet.sequence = next;
    packet.payload_bytes = static_cast<uint16_t>(payload.size());
    packet.tcp_flags = flags;
    next += packet.sequence_length();
    steps_.push_back({from_client, packet, std::move(payload), after});
  }

  uint32_t client_next_ = 1000, server_next_ = 5000;
  std::vector<Step> steps_;
};

std::vector<Step> plain_session(size_t message_bytes) {
  return Script()
      .server(kReplySegments[0])
      .client("EHLO client.example.org\r\n")
      .server(kReplySegments[1])
      .client("MAIL FROM:<a@example.org> SIZE=1000\r\nRCPT TO:<b@example.net>\r\nRCPT TO:<c@example.net>\r\nDATA\r\n")
      .server(kReplySegments[8])
      .client(std::string(message_bytes, 'x') + "\r\n.\r\nQUIT\r\n")
      .server(kReplySegments[9])
      .finish();
}

std::string record(char type, size_t bytes) {
  return std::string{type, 3, 3, static_cast<char>(bytes >> 8), static_cast<char>(bytes & 0xff)} +
         std::string(bytes, 'x');
}

std::vector<Step> starttls_session(size_t message_bytes) {
  Script script;
  script.server(kReplySegments[0])
      .client("EHLO client.example.org\r\n")
      .server(kReplySegments[1])
      .client("STARTTLS\r\n")
      .server("220 2.0.0 Ready to start TLS\r\n")
      .client(record(22, 512))
      .server(record(22, 122) + record(20, 1) + record(23, 3200))
      .client(record(20, 1) + record(23, 70) + record(23, 50))
      .server(record(23, 250) + record(23, 200))
      .client(record(23, 120))
      .server(record(23, 90));
  for (size_t sent = 0; sent < message_bytes; sent += 4096) script.client(record(23, 4096));
  return script.server(record(23, 60)).client(record(23, 30)).server(record(23, 40)).finish();
}

std::vector<Step> refused_session() {
  return Script().server(kReplySegments[11]).finish();
}

/// Half the sessions plain, half with TLS, every tenth refused at once; messages from 2 kB to 200 kB.
std::vector<std::vector<Step>> mixed_sessions() {
  std::vector<std::vector<Step>> out;
  for (const size_t bytes : {2'000, 5'000, 30'000, 200'000}) {
    out.push_back(plain_session(bytes));
    out.push_back(starttls_session(bytes));
  }
  out.push_back(refused_session());
  return out;
}

struct Bench {
  static constexpr uint32_t kAtOnce = 32;  // flows: as many as there are packets in a burst

  explicit Bench(bool watched) {
    service.vip.port = Be16::of(25);
    service.flags = static_cast<uint8_t>(watched ? 0 : channel::kServiceUnobserved);
  }

  void play(const std::vector<Step>& steps, std::vector<Flow>& flows) {
    for (Flow& flow : flows) {
      flow.smtp_phase = flow.smtp_detail = 0;
      flow.backend = static_cast<uint16_t>(&flow - flows.data()) % 16;
      flow.client_next = 1000;
      flow.server_next = 5000;
    }
    for (const Step& step : steps) {
      for (FlowIndex i = 0; i < flows.size(); i++) {
        Flow& flow = flows[i];
        uint32_t& next = step.from_client ? flow.client_next : flow.server_next;
        const uint32_t expected = next;
        next += step.packet.sequence_length();
        flow.state = step.after;
        const ObservedSegment segment{reinterpret_cast<const uint8_t*>(step.payload.data()), step.packet.payload_bytes,
                                      step.packet.sequence, expected, step.packet.tcp_flags};
        if (step.from_client) {
          if (SmtpObserver::client_matters(flow, step.packet)) observer->from_client(i, flow, service, segment, 1);
        } else if (SmtpObserver::backend_matters(flow, step.packet)) {
          observer->from_backend(i, flow, service, segment, 1);
        }
      }
    }
  }

  std::unique_ptr<channel::WorkerStats> stats = std::make_unique<channel::WorkerStats>();
  std::vector<channel::SessionNotes> notes = std::vector<channel::SessionNotes>(kAtOnce);
  std::unique_ptr<SmtpObserver> observer = std::make_unique<SmtpObserver>(*stats, notes.data());
  Service service{};
};

void run_sessions(benchmark::State& state, bool watched, const std::vector<std::vector<Step>>& sessions) {
  Bench bench(watched);
  std::vector<Flow> flows(Bench::kAtOnce);
  uint64_t packets = 0, played = 0;
  for (auto _ : state) {
    for (const auto& steps : sessions) bench.play(steps, flows);
    benchmark::ClobberMemory();
  }
  for (const auto& steps : sessions) packets += steps.size() * flows.size();
  played = state.iterations() * flows.size() * sessions.size();
  uint64_t ended = 0;
  for (const channel::SmtpCounters& counters : bench.stats->backend_smtp) {
    for (auto i = static_cast<size_t>(channel::SmtpCounter::kEndedQuit); i < channel::kSmtpCounterCount; i++) {
      ended += counters.counters[i];
    }
  }
  if (ended != (watched ? played : 0)) state.SkipWithError("not every session's end was seen");
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * packets));
}

void mixed_off(benchmark::State& state) {
  run_sessions(state, false, mixed_sessions());
}
BENCHMARK(mixed_off);

void mixed_watched(benchmark::State& state) {
  run_sessions(state, true, mixed_sessions());
}
BENCHMARK(mixed_watched);

void small_plain_watched(benchmark::State& state) {
  run_sessions(state, true, {plain_session(2'000)});
}
BENCHMARK(small_plain_watched);

void refused_watched(benchmark::State& state) {
  run_sessions(state, true, {refused_session()});
}
BENCHMARK(refused_watched);

}  // namespace
}  // namespace sluice::perf

BENCHMARK_MAIN();
