# frozen_string_literal: true

require "active_support/all"
require "action_controller/railtie"
require_relative "contract"

SETTINGS = JSON.parse(File.read(File.join(__dir__, "sessions.json")))

# Everything that differs between targets is here.
class ContractApplication < Rails::Application
  config.load_defaults 6.1
  config.eager_load = true
  config.hosts.clear
  # The contract has no forms.
  config.action_controller.default_protect_from_forgery = false
  config.logger = Logger.new($stderr, level: Logger::ERROR)
  # The same on every node, so that each can read what another has encrypted.
  config.secret_key_base = "the key of a measurement, and of nothing else"
  common = { key: "_session", expire_after: SETTINGS["expire_after"].seconds }
  case SETTINGS["session_store"]
  when "cache_store"
    config.cache_store = :redis_cache_store, { url: "redis://#{SETTINGS["address"]}:6379/1" }
    config.session_store :cache_store, **common
  when "redis_store"
    require "redis-actionpack"
    config.session_store :redis_store, servers: ["redis://#{SETTINGS["address"]}:6379/0/session"], **common
  when "mem_cache_store"
    config.session_store :mem_cache_store, memcache_server: ["#{SETTINGS["address"]}:11211"], pool_size: 32, **common
  when "cookie_store"
    config.session_store :cookie_store, **common
  end
  # A session that does not fit into a cookie is told as such; other errors are Rails' own affair.
  config.action_dispatch.rescue_responses["ActionDispatch::Cookies::CookieOverflow"] = :payload_too_large
  config.exceptions_app = lambda do |env|
    status = env["PATH_INFO"].delete_prefix("/").to_i
    text = JSON.generate(node: ENV["NODE"], boot: Contract::BOOT, error: "the session does not fit into a cookie")
    [status, { "Content-Type" => "application/json" }, status == 413 ? [text] : []]
  end
  routes.append { match "*path", to: "contract#answer", via: :all }
end

# The session of a request to a controller.
class RailsSessions
  def initialize(controller)
    @controller = controller
  end

  # What Rails keeps of a session has to fit into JSON in some of its stores.
  def load
    held = @controller.session.to_hash
    return unless held["epoch"]

    %w[payload changing].each { |key| held[key] = Base64.decode64(held[key]) }
    held
  end

  def begin
    @controller.reset_session
  end

  def renew
    @controller.request.session_options[:renew] = true
  end

  def keep(held)
    held.each do |key, value|
      @controller.session[key] = %w[payload changing].include?(key) ? Base64.strict_encode64(value) : value
    end
  end

  def end
    @controller.reset_session
  end

  # A session that is not there is not made by asking for it.
  def leave
    @controller.request.session_options[:skip] = true
  end
end

# Answers every call of the contract.
class ContractController < ActionController::Base
  def answer
    contract = Contract.new(RailsSessions.new(self))
    status, text = contract.answer(request.request_method, request.path, request.raw_post, request.query_parameters)
    text ? render(body: text, status: status, content_type: "application/json") : head(status)
  end
end

ContractApplication.initialize!
run ContractApplication
