// SPDX-License-Identifier: Apache-2.0
//
// What is told of a pool whose name the DNS is asked for: by a server of the DNS that answers, lies or is silent, and
// by a host of policies.
#include "controlplane/security/mail_security.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/write.hpp>

#include "controlplane/discovery/dns_types.h"
#include "tests/controlplane/discovery/dns_server.h"
#include "tests/controlplane/security/chains.h"
#include "tests/controlplane/support/model_fixture.h"

namespace sluice::control {
namespace {

using namespace std::chrono_literals;
using health::testing::Identity;
using health::testing::make_identity;
using health::testing::PemFile;
namespace asio = boost::asio;

const std::string kOf25 = "_25._tcp.mx.example.net";

void run_until(asio::io_context& io, const std::function<bool()>& done) {
  const auto end = std::chrono::steady_clock::now() + 30s;
  while (!done() && std::chrono::steady_clock::now() < end) io.run_one_for(20ms);
  ASSERT_TRUE(done());
}

/// Pool mta under a check that asks for DANE, and a server of the DNS.
class MailSecurityTest : public ModelTest {
 protected:
  MailSecurityTest() {
    config_.checks[0].type = config::CheckType::kStarttls;
    config_.checks[0].tlsa = true;
    config_.checks[0].server_name = "mx.example.net";
  }

  /// Begins, and waits for the first answer.
  void start() {
    model_.emplace(config_, journal_);
    bring_up(*model_);
    security_.emplace(io_, *model_, journal_, std::vector{server_.address()});
    security_->follow(config_);
  }
  void show(size_t member, const Identity& identity) {
    health::Verdict verdict{.fact = health::Fact::kHealthy, .step = health::Step::kEhloTls};
    verdict.certificate = health::Certificate{.sha256 = der_of(identity).substr(0, 4)};
    verdict.certificate->chain = std::make_shared<health::PresentedChain>(presented({&identity}));
    model_->set_certificate(member, verdict, "mx.example.net");
    model_->set_starttls(member, verdict);
  }
  void publish(const Identity& identity, bool authentic = true) {
    answer_ = [this, identity, authentic](uint16_t id, const std::string& name, int type) {
      DnsMessage out(id, name, type);
      if (type == kTypeTlsa) out.add(name, kTypeTlsa, 1, std::string("\x03\x00\x00", 3) + der_of(identity));
      if (authentic) out.set_authentic();
      return std::optional(out);
    };
  }
  const TlsaKnown& known() const { return security_->records().at(kOf25); }
  DaneFinding of(size_t backend) {
    security_->tick();
    return *security_->pools().at(0).backends.at(backend).dane;
  }

  asio::io_context io_;
  DnsServer::Reply answer_ = [](uint16_t id, const std::string& name, int type) {
    return std::optional(DnsMessage(id, name, type, ns_r_nxdomain));
  };
  DnsServer server_{io_, [this](uint16_t id, const std::string& name, int type) { return answer_(id, name, type); }};
  std::optional<Model> model_;
  std::optional<MailSecurity> security_;
  Identity published_ = make_identity("mx.example.net", 240h);
  Identity other_ = make_identity("mx.example.net", 240h);
};

TEST_F(MailSecurityTest, HoldsEachBackendAgainstTheRecordsOfThePortThatClientsConnectTo) {
  publish(published_);
  start();
  EXPECT_EQ(of(0).dane, Dane::kUnknown);
  run_until(io_, [&] { return known().answer.has_value(); });
  EXPECT_EQ(of(0).dane, Dane::kUnknown) << "nothing was presented yet";
  show(0, published_);
  show(1, other_);
  EXPECT_EQ(of(0).dane, Dane::kMatches);
  EXPECT_EQ(of(1).dane, Dane::kMismatch);
  EXPECT_EQ(of(2).dane, Dane::kUnknown);
  EXPECT_TRUE(journal_says("mta/mta2:25", "DANE: mismatch: 3 0 0 "));
  EXPECT_FALSE(journal_says("mta/mta1:25", "DANE"));
  EXPECT_TRUE(model_->members()[1].is_usable()) << "it is told, and takes nobody out";
  show(1, published_);
  EXPECT_EQ(of(1).dane, Dane::kMatches);
  EXPECT_TRUE(journal_says("mta/mta2:25", "DANE: matches"));
  const size_t told = journal_.entries().size();
  now_ += 10min;
  EXPECT_EQ(of(1).dane, Dane::kMatches);
  EXPECT_EQ(journal_.entries().size(), told) << "told once";
}

TEST_F(MailSecurityTest, SaysWhatTheDnsDoesNotVouchFor) {
  publish(published_, false);
  start();
  show(0, published_);
  run_until(io_, [&] { return known().answer.has_value(); });
  EXPECT_EQ(of(0).dane, Dane::kNotAuthenticated);
  EXPECT_TRUE(journal_says("mta/mta1:25", "DANE: not_authenticated"));
}

TEST_F(MailSecurityTest, ThereNeedBeNoRecords) {
  start();
  show(0, published_);
  run_until(io_, [&] { return known().answer.has_value(); });
  EXPECT_EQ(of(0).dane, Dane::kNoRecords);
  EXPECT_EQ(journal_.entries().size(), std::ranges::count_if(journal_.entries(), [](const JournalEntry& entry) {
              return entry.text.find("DANE") == std::string::npos;
            }));
}

TEST_F(MailSecurityTest, TellsThatTheDnsFails) {
  answer_ = [](uint16_t id, const std::string& name, int type) {
    return std::optional(DnsMessage(id, name, type, ns_r_servfail));
  };
  start();
  show(0, published_);
  run_until(io_, [&] { return !known().fault.empty(); });
  EXPECT_EQ(of(0).dane, Dane::kDnsFails);
  EXPECT_NE(of(0).why.find("TLSA _25._tcp.mx.example.net: "), std::string::npos) << of(0).why;
  EXPECT_TRUE(journal_says(kOf25, "TLSA _25._tcp.mx.example.net"));
}

TEST_F(MailSecurityTest, KeepsTheLastAnswerWhileTheDnsFails) {
  publish(published_);
  start();
  show(0, published_);
  run_until(io_, [&] { return known().answer.has_value(); });
  answer_ = [](uint16_t id, const std::string& name, int type) {
    return std::optional(DnsMessage(id, name, type, ns_r_servfail));
  };
  run_until(io_, [&] { return !known().fault.empty(); });
  EXPECT_EQ(of(0).dane, Dane::kMatches);
  EXPECT_TRUE(journal_says(kOf25, "the last answer stays in use"));
}

TEST_F(MailSecurityTest, SaysWhetherWhatLeadsToTheNameIsSigned) {
  config_.checks[0].mail_domain = "example.net";
  bool authentic = true;
  answer_ = [&](uint16_t id, const std::string& name, int type) {
    DnsMessage out(id, name, type);
    if (type == ns_t_a) out.add(name, ns_t_a, 1, std::string("\x0a\x00\x00\x01", 4));
    if (type == ns_t_mx) out.add(name, ns_t_mx, 1, std::string("\x00\x0a\x00", 3));
    if (authentic || type == ns_t_mx) out.set_authentic();
    return std::optional(out);
  };
  start();
  const RecordSet a{"mx.example.net", ns_t_a}, aaaa{"mx.example.net", ns_t_aaaa}, mx{"example.net", ns_t_mx};
  const auto state = [&](const RecordSet& of) { return security_->signatures().at(of).state; };
  EXPECT_EQ(security_->signatures().size(), 3u);
  EXPECT_EQ(state(a), Signed::kUnknown);
  run_until(io_, [&] { return state(a) == Signed::kSigned && state(mx) == Signed::kSigned; });
  run_until(io_, [&] { return state(aaaa) == Signed::kNone; });
  EXPECT_FALSE(journal_says("mx.example.net", "signed"));
  authentic = false;
  run_until(io_, [&] { return state(a) == Signed::kNotSigned; });
  EXPECT_EQ(state(mx), Signed::kSigned);
  EXPECT_TRUE(journal_says("mx.example.net", "its A records are not signed"));
  answer_ = [](uint16_t id, const std::string& name, int type) {
    return std::optional(DnsMessage(id, name, type, ns_r_servfail));
  };
  run_until(io_, [&] { return !security_->signatures().at(a).fault.empty(); });
  EXPECT_EQ(state(a), Signed::kNotSigned) << "the last answer stays";
  config_.checks[0].tlsa = false;
  security_->follow(config_);
  EXPECT_TRUE(security_->signatures().empty());
}

TEST_F(MailSecurityTest, AReloadKeepsWhatIsKnownAndDropsWhatIsNotAskedForAnyMore) {
  publish(published_);
  start();
  show(0, other_);
  run_until(io_, [&] { return known().answer.has_value(); });
  EXPECT_EQ(of(0).dane, Dane::kMismatch);
  const size_t told = journal_.entries().size();
  security_->follow(config_);
  EXPECT_TRUE(known().answer);
  EXPECT_EQ(of(0).dane, Dane::kMismatch);
  EXPECT_EQ(journal_.entries().size(), told) << "it is known already";
  config_.checks[0].tlsa = false;
  security_->follow(config_);
  EXPECT_TRUE(security_->records().empty());
  EXPECT_FALSE(security_->pools().at(0).backends.at(0).dane);
}

TEST_F(MailSecurityTest, NamesMembersThatDifferInStarttls) {
  start();
  show(0, published_);
  show(1, published_);
  model_->set_starttls(2, {.fact = health::Fact::kTlsFailed, .step = health::Step::kEhlo});
  security_->tick();
  EXPECT_EQ(security_->pools()[0].starttls_fault, "STARTTLS is offered by mta1, mta2 and not by mta3");
  EXPECT_TRUE(journal_says("mta:25 (relay)", "STARTTLS is offered by mta1, mta2 and not by mta3"));
  show(2, published_);
  security_->tick();
  EXPECT_EQ(security_->pools()[0].starttls_fault, "");
  EXPECT_TRUE(journal_says("mta:25 (relay)", "alike in STARTTLS again"));
}

/// Answers whoever comes with the same bytes, under TLS, as "localhost".
class HttpsServer {
 public:
  HttpsServer(asio::io_context& io, const Identity& authority, std::string answer)
      : tls_(health::testing::server_context(make_identity("localhost", 24h, &authority))),
        acceptor_(io, {asio::ip::make_address("127.0.0.1"), 0}),
        answer_(std::move(answer)) {
    accept();
  }
  config::Endpoint endpoint() const { return {true, "localhost", acceptor_.local_endpoint().port()}; }
  const std::string& asked() const { return asked_; }

 private:
  using Stream = asio::ssl::stream<asio::ip::tcp::socket>;

  void accept() {
    acceptor_.async_accept([this](const boost::system::error_code& error, asio::ip::tcp::socket socket) {
      if (error) return;
      stream_ = std::make_unique<Stream>(std::move(socket), *tls_);
      stream_->async_handshake(asio::ssl::stream_base::server, [this](const boost::system::error_code& refused) {
        if (!refused) serve();
      });
      accept();
    });
  }
  void serve() {
    asio::async_read_until(
        *stream_, asio::dynamic_buffer(asked_), "\r\n\r\n", [this](const boost::system::error_code& error, size_t) {
          if (error) return;
          asio::async_write(*stream_, asio::buffer(answer_), [](const boost::system::error_code&, size_t) {});
        });
  }

  std::shared_ptr<asio::ssl::context> tls_;
  asio::ip::tcp::acceptor acceptor_;
  std::unique_ptr<Stream> stream_;
  std::string answer_, asked_;
};

class PolicyFetchTest : public testing::Test {
 protected:
  std::expected<std::string, std::string> fetched(const std::string& answer, const std::string& ca_file) {
    asio::io_context io;  // what the server still waits for ends with it
    HttpsServer server(io, authority_, answer);
    std::optional<std::expected<std::string, std::string>> out;
    asio::co_spawn(io, fetch_policy(server.endpoint(), policy_tls(*authorities_of(ca_file))),
                   [&](const std::exception_ptr&, std::expected<std::string, std::string> text) { out = text; });
    run_until(io, [&] { return out.has_value(); });
    asked_ = server.asked();
    return out.value_or(std::unexpected("nothing came"));
  }
  static std::string answer_of(const std::string& status, const std::string& type, const std::string& body) {
    return "HTTP/1.1 " + status + "\r\nContent-Type: " + type + "\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\nLocation: https://elsewhere.example/\r\n\r\n" + body;
  }

  Identity authority_ = make_identity("Some CA", 240h);
  PemFile file_{authority_};
  std::string asked_;
};

TEST_F(PolicyFetchTest, TakesPlainTextAndNothingElse) {
  EXPECT_EQ(fetched(answer_of("200 OK", "text/plain; charset=utf-8", "version: STSv1\n"), file_.path()),
            "version: STSv1\n");
  EXPECT_TRUE(asked_.starts_with("GET /.well-known/mta-sts.txt HTTP/1.1\r\nHost: localhost\r\n")) << asked_;
  const auto fault = [&](const std::string& answer) { return fetched(answer, file_.path()).error(); };
  EXPECT_EQ(fault(answer_of("301 Moved", "text/plain", "")), "it answers with status 301, not 200");
  EXPECT_EQ(fault(answer_of("404 Not Found", "text/plain", "")), "it answers with status 404, not 200");
  EXPECT_EQ(fault(answer_of("200 OK", "text/html", "<html>")), "its answer is of type \"text/html\", not text/plain");
  EXPECT_EQ(fault(answer_of("200 OK", "text/plainer", "x")), "its answer is of type \"text/plainer\", not text/plain");
  EXPECT_EQ(fault(answer_of("200 OK", "text/plain", std::string(kMostPolicyBytes + 1, 'x'))),
            "its answer is longer than 65536 bytes");
  EXPECT_NE(fault("garbage\r\n\r\n"), "");
}

TEST_F(PolicyFetchTest, BelievesOnlyWhomItsAuthoritiesVouchFor) {
  const PemFile other(make_identity("Other CA", 240h));
  const auto refused = fetched(answer_of("200 OK", "text/plain", "version: STSv1\n"), other.path());
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().starts_with("its certificate is not accepted: ")) << refused.error();
  EXPECT_EQ(policy_host("example.net"), (config::Endpoint{true, "mta-sts.example.net", 443}));
}

}  // namespace
}  // namespace sluice::control
