// A Vendure of the tests' own: all of it in memory, with API keys, and products that have the custom field `akeneo`.
//
// Its modules are found by NODE_PATH. PORT, SHOP_USER and SHOP_PASSWORD say where it listens and who may do everything;
// SHOP_UNIQUE whether it refuses two products of one `akeneo`.
const { createHash } = require('node:crypto');
const {
  bootstrap,
  DefaultLogger,
  defaultConfig,
  LogLevel,
  mergeConfig,
  RandomBytesApiKeyStrategy,
} = require('@vendure/core');

// Vendure's own takes a fifth of a second for each request, on purpose: keys could be guessed otherwise.
const hashingStrategy = {
  hash: async text => createHash('sha256').update(text).digest('hex'),
  check: async (text, hash) => createHash('sha256').update(text).digest('hex') === hash,
};

const config = mergeConfig(defaultConfig, {
  apiOptions: { port: Number(process.env.PORT), hostname: '127.0.0.1' },
  authOptions: {
    tokenMethod: ['bearer', 'api-key'],
    adminApiKeyStrategy: new RandomBytesApiKeyStrategy({ hashingStrategy }),
    superadminCredentials: { identifier: process.env.SHOP_USER, password: process.env.SHOP_PASSWORD },
  },
  dbConnectionOptions: { type: 'sqljs', synchronize: true },
  customFields: {
    Product: [{ name: 'akeneo', type: 'string', unique: process.env.SHOP_UNIQUE === 'true', nullable: true }],
  },
  logger: new DefaultLogger({ level: LogLevel.Warn }),
});

bootstrap(config).catch(error => {
  console.error(error);
  process.exit(1);
});
