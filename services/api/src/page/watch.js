import '/streamit.js';
